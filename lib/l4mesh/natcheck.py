# floor 7: node
# Finds out what NAT this node is behind: hourly, and when asked. RAM: 13 kB with what it imports.
"""check = begin(node)      node.nat from then on; end(node)

    check.summary          8 bytes (nat_type.py); zeros until the first time is over
    check.seen             what it was made of (nat_type.Seen), or None
    check.check(now)       once more, now
    check.fixed(addr)      the router maps this outside endpoint to our port (portmap.py), or None
    check.busy             it asks around
    check.on_change        called as f(summary, now) when that changes, if set

Assistants are the tiers and peers beyond the LAN. Own port: where is it seen? The rest is done by
fresh sockets, which nothing hangs on, since such tests may spoil a mapping. The first asks two
assistants at different addresses. If they see the same, a third one, which it never sent to, and
another port of the first try to reach it (FILTER). If not, some more sockets show how ports are
chosen, one of them at a low port.

Once more when own address changes, inside or outside; every hour; every 5 minutes as long as
nothing is known. Without node.sockets own port shows its mapping, no more.
"""

from . import ticks
from .compat import const
from .nat_ear import Ears
from .nat_filter import ELSEWHERE, FROM_HERE
from .nat_type import BLOCKED, NOTHING, SYMMETRIC, UNKNOWN, Seen, classify
from .peers import P_REMOTE

_FIRST_MS = const(3000)  # after the start: until tiers were heard
_HOUR_MS = const(3600000)
_SOON_MS = const(300000)
_LOOK_MS = const(2000)
_HELPERS = const(6)
_FRESH = const(3)
_LOW = const(600)
_LOWS = const(424)


class NatCheck:
    def __init__(self, node):
        self.node = node
        self.ears = Ears(node)
        self.summary = NOTHING
        self.seen = None
        self.on_change = None
        self.took_ms = self.times = 0  # of the last one; how many there were
        self.held = False  # somebody else uses the ears for a moment (nat_life.py)
        self._fixed = None
        self._run = None
        self._now = self._due = self._began = 0
        self._at = None  # own addresses when it was last looked at
        self._good = self._last = None  # those when all was known, and `seen` of then

    @property
    def busy(self):
        return self._run is not None

    def check(self, now: int) -> None:
        self._due = now
        self._at = self._place()

    def fixed(self, addr) -> None:
        if addr != self._fixed:
            self._fixed = addr
            if self.seen is not None and not self.busy:
                self._judge()

    def _place(self):
        return self.node.link.local + self.node.own.public[:4]

    def poll(self, now: int) -> int:
        self._now = now
        wait = self.ears.poll(now)
        if self._run is None:
            at = self._place()
            if at != self._at:
                self._at = at
                self._due = ticks.add(now, _FIRST_MS)
            left = ticks.diff(self._due, now)
            if left > 0 or self.held:
                return wait if self.held else min(left, _LOOK_MS)
            self._began = now
            self._run = self._steps()
        try:
            next(self._run)
        except StopIteration:
            self._run = None
            self._end(now)
        return wait

    def _end(self, now):
        self.ears.close()
        self.took_ms = ticks.diff(now, self._began)
        self.times += 1
        every = _SOON_MS
        if self.seen.main is None and self._good == self._at and not self.seen.online:
            self.seen = self._last  # nobody answers any more: what was found out may still hold
        else:
            self._judge()
            if self.summary[0] not in (UNKNOWN, BLOCKED):
                every = _HOUR_MS
                self._good = self._at
                self._last = self.seen
        # Not all nodes of a network at the same time.
        self._due = ticks.add(now, every + (every >> 11) * self.node.entropy(1)[0])

    def _judge(self):
        f = self._fixed
        m = self.seen.main
        # A router behind another NAT promises what it does not have.
        self.seen.fixed = f if f is not None and (m is None or f[:4] == m[:4]) else None
        self.seen.metered = bool(self.node.cfg.metered)
        b = classify(self.seen)
        if b != self.summary:
            self.summary = b
            if self.on_change is not None:
                self.on_change(b, self._now)

    # the steps

    def helpers(self):
        """[(endpoint, short id or None)]: tiers, nearest first, then peers beyond the LAN."""
        out = [(t.addr, t.peer) for t in self.node.tiers.list if t.addr[0]]
        p = self.node.peers
        for i in range(p.slots):
            if p.flags(i) & P_REMOTE and p.addr(i)[0]:
                out.append((p.addr(i), p.short_id(i)))
        return out[:_HELPERS]

    def _steps(self):
        ears = self.ears
        helpers = self.helpers()
        self.seen = seen = Seen(self.node.link.local)
        seen.asked = len(set([h[0][:4] for h in helpers]))
        if not helpers and self.node.tiers.list:  # all of them by TCP (detour.py)
            seen.asked = 2
            seen.online = True
        own = yield from ears.ask(ears.own, helpers)
        helpers = [h for h in helpers if own.got.get(h[0])]
        if not helpers:
            return
        seen.main = own.got[helpers[-1][0]]
        pair = apart(helpers)
        first = ears.open(0)
        if first is None:
            self._note(0, own, helpers)
            return
        yield from ears.ask(first, pair)
        self._note(0, first, pair)
        if classify(seen)[0] == SYMMETRIC:
            yield from self._samples(pair)
        elif len(seen.mapped) == len(pair) > 1:
            others = [h for h in helpers if h[0][:4] not in [x[0][:4] for x in pair]]
            yield from self._filters(first, pair, others, own)

    def _note(self, number, ear, helpers):
        """Write down what they saw of one socket, in the order in which they were asked."""
        for h in helpers:
            m = ear.got.get(h[0])
            if m:
                self.seen.mapped.append((number, ear.port, h[0], m))

    def _samples(self, pair):
        """Ports of more sockets, the newest last."""
        ears = self.ears
        for k in range(_FRESH + 1):
            ears.close()
            r = self.node.entropy(2)
            ear = ears.open(0 if k else _LOW + (r[0] << 8 | r[1]) % _LOWS)
            if ear is None:  # not everybody may have a low port
                continue
            yield from ears.ask(ear, pair if k else pair[:1])
            m = ear.got.get(pair[0][0])
            if k:
                self._note(k, ear, pair)
            elif m:
                self.seen.low = (ear.port, m[4] << 8 | m[5])

    def _filters(self, ear, pair, others, own):
        """Who gets in that this socket never sent to?"""
        seen = self.seen
        ears = self.ears
        target = ear.got[pair[0][0]]
        ms = max(own.ms, ear.ms)
        for h in others:
            if own.got[h[0]][:4] != target[:4]:
                continue  # it would refuse: our address looks different from there
            came = yield from ears.filter(ear, FROM_HERE, h, target, ms)
            if came is None:
                continue
            seen.stranger = came
            if came:
                return
            for p in pair:
                port = yield from ears.filter(ear, ELSEWHERE, p, target, ms)
                if port is not None:
                    seen.other_port = port
                    break
            # Now we send to the stranger: did its datagrams take our mapping's place?
            yield from ears.ask(ear, [h])
            seen.early = ear.got.get(h[0]) not in (None, target)
            return

    def why(self) -> str:
        """For `l4 status`, in words."""
        from .nat_text import why

        return why(self.summary, self.seen)

    def document(self) -> dict:
        """For topic 5 of INFO."""
        from .nat_text import document

        return document(self.summary, self.seen, self.busy, self.took_ms)


def apart(helpers) -> list:
    """The first helper, another port of it, and one at another address, as far as there are."""
    first = helpers[0][0]
    out = [helpers[0]]
    for h in helpers:
        if h[0][:4] == first[:4] and h[0] != first:
            out.append(h)
            break
    for h in helpers:
        if h[0][:4] != first[:4]:
            out.append(h)
            break
    return out


def end(node) -> None:
    """No more of it; what it found stays with who was told."""
    check = node.nat
    check.ears.end()
    node.late.remove(check)
    node.notes.pop("nat", None)
    node.nat = None


def begin(node) -> NatCheck:
    check = NatCheck(node)
    node.nat = check
    node.late.append(check)
    node.notes["nat"] = check.why
    return check

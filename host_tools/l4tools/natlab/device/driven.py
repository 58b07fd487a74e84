"""What a node of the NAT lab does when it is told to. Runs on MicroPython and on CPython.

A command is a dict with "do": STUN, PING, OPEN, .. as below; answers carry its "n", if it had one.
"""

from binascii import hexlify, unhexlify

from l4mesh import ticks
from l4mesh.endpoint import format_endpoint, parse_endpoint
from l4mesh.events import EV_JOINED, EV_MAPPED, EV_REFUSED, EV_UPSTREAM, EV_WAY
from l4mesh.nat_type import BLOCKED
from l4mesh.peers import O_MODE, P_REMOTE
from l4mesh.wire import (
    QUERY_LEN,
    STANDARD,
    T_ANSWER,
    T_COOKIE,
    T_PING,
    T_PONG,
    T_QUERY,
    put30,
    u30,
)
from l4mesh_io import clock

SIGNALS = {"mains": True, "battery": None, "heap_free": None, "heap_largest": None, "wifi": True,
           "metered": False}  # fmt: skip
_IDLE_MS = 1000
_PING = 17
_LOST_MS = 2000
_AGAIN_MS = 200


def sampling(node, every):
    """A job for the runner: what the supervisor of a board does with its signals."""

    def sample(now):
        node.sample(now, dict(SIGNALS))
        return every

    return sample


class _Pings:
    """A series of questions to one address: each goes once, and again with the cookie asked for.

    By a way they are look-ups, which count as data there, else PINGs."""

    def __init__(self, n, sid, addr, count, every, kind):
        self.n, self.sid, self.addr, self.left, self.every = n, sid, addr, count, every
        self.kind = kind
        self.first = None  # token of the first
        self.sent = {}  # token: when
        self.rtt = []
        self.ways = {}  # where answers came from: how many
        self.due = 0


class Driven:
    def __init__(self, node, say, rng):
        self.node = node
        self.say = say
        self._token = (rng.next() if hasattr(rng, "next") else 1) & 0xFFFFF
        self._pings = []
        self._frames = {}  # counter of a PING's frame: (series, token)
        do = node.inbox._do
        self._cookie, self._pong = do[T_COOKIE], do[T_PONG]
        do[T_COOKIE] = self._on_cookie
        do[T_PONG] = self._on_pong
        self._answer = do[T_ANSWER]
        do[T_ANSWER] = self._on_answer
        self._asked = {}
        self.told = {}  # kind of event: function(event)
        self.check = self.meet = self.ways = None
        self._said = False  # ready
        self._lost = {}  # short id: why it is not direct, as it was told
        self._open = {}  # short id: (number of the command, when)

    def begin(self, now, make=None):
        """What firmware/beyond_start.py does on a board that sees that it is behind a NAT.

        `make(level, endpoint)`: a TcpLink, for where UDP does not pass."""
        from l4mesh_io import beyond

        node = self.node
        self.ways = beyond.stand(node, now)
        self.check, self.meet = node.nat, self.ways.meet
        self.told[EV_WAY] = self._way
        if make is not None and node.cfg.tcp:
            from l4mesh_io.detour import Detour

            where = [(level, parse_endpoint(t)) for level, t in node.cfg.tcp]
            detour = Detour(node, where, make)
            node.late.append(detour)
            self.ways.on_silence = detour.silence
            detour.on_change = self.ways.rerouted

    def _ready(self):
        """Say what the NAT is, once that is known and we can be found."""
        c = self.check
        if c.seen is None or c.busy or not self.node.member.joined:
            return
        if c.summary[0] == BLOCKED or any([p.ok for p in self.meet.standing.list]):
            self._said = True
            self.say({"nat": list(c.summary), "why": c.why()})

    # commands

    def do(self, doc, now):
        getattr(self, "do_" + doc["do"])(doc, now)

    def do_stun(self, doc, now):
        """{"do": "stun", "at": "ip:port"} -> {"stun": at, "mapped": "ip:port" or null, "ms"}"""
        if self.node.asking is None:
            from l4mesh import stun_client

            stun_client.attach(self.node)
        at = parse_endpoint(doc["at"])
        self._asked[at] = doc
        self.node.asking.ask(at, now)
        self.node.asking.poll(now)

    def do_meet(self, doc, now):
        """{"do": "meet", "id", "n"} -> {"n", "open": "direct" or "", "ms", "why", "at"}"""

        def told(sid, addr, sock, ms, why):
            at = None if addr is None else format_endpoint(addr)
            self.say({"n": doc.get("n"), "open": "" if addr is None else "direct", "ms": ms,
                      "why": why, "at": at})  # fmt: skip

        if not self.meet.connect(unhexlify(doc["id"]), now, told):
            told(None, None, None, 0, "too much under way here")

    def do_open(self, doc, now):
        """{"do": "open", "id", "n"} -> {"n", "open": "udp", "tcp", "direct" or "", "ms", "why"},
        one for each state that the way comes to."""
        node_id = unhexlify(doc["id"])
        self._open[node_id[:8]] = (doc.get("n"), now)
        self._lost.pop(node_id[:8], None)
        if self.ways.open(node_id, now) is None:
            self.say({"n": doc.get("n"), "open": "", "ms": 0, "why": "no place for a way"})

    def do_shut(self, doc, now):
        """{"do": "shut", "id"}: close the way."""
        sid = unhexlify(doc["id"])[:8]
        self._open.pop(sid, None)
        self._lost.pop(sid, None)
        self.ways.close(sid, now)

    def do_know(self, doc, now):
        """{"do": "know", "id", "at"}: a node beyond the LAN that it met some time ago."""
        peers = self.node.peers
        slot = peers.add(unhexlify(doc["id"])[:8], parse_endpoint(doc["at"]), 1, 1, now)
        peers.set_flag(slot, P_REMOTE)
        peers.set(slot, O_MODE, STANDARD)

    def do_nodes_only(self, doc, now):
        """{"do": "nodes_only"}: no tier is asked to assist from now on."""
        standing, tiers = self.meet.standing, self.node.tiers
        wanted = standing._wanted

        def nodes(now):
            kept, tiers.list = tiers.list, []
            try:
                return wanted(now)
            finally:
                tiers.list = kept

        standing._wanted = nodes
        self.meet.moved(now)

    def do_path(self, doc, now):
        """{"do": "path"} -> {"path": what `l4 path` shows of all ways}"""
        self.say({"n": doc.get("n"), "path": self.ways.document(now)})

    def _way(self, e):
        """EV_WAY of a way that we opened, or of one that the other side did."""
        _, sid, state, why = e
        n, since = self._open.get(sid, (None, None))
        by = ("", "", "udp", "direct")[state]
        w = self.ways.of(sid)
        if state == 2 and w is not None and w.use is not None and not w.use.addr[0]:
            by = "tcp"
        ms = None if since is None else ticks.diff(clock.now(), since)
        self.say({"n": n, "open": by, "state": state, "ms": ms, "why": why, "id": text(sid)})

    def do_ping(self, doc, now):
        """{"do": "ping", "id": hex, "at": "ip:port", "way", "count", "every"} -> lost, rtt, .."""
        sid = unhexlify(doc["id"])[:8]
        at = parse_endpoint(doc["at"]) if "at" in doc else None
        kind = T_PING
        if doc.get("way"):  # whatever path it has at the moment
            at, kind = self.ways.of(sid).addr, T_QUERY
        elif at is None:
            at = self.address(sid)
        series = _Pings(doc.get("n"), sid, at, doc.get("count", 1), doc.get("every", 50), kind)
        series.due = now
        self._pings.append(series)
        self.poll(now)

    def do_stat(self, doc, now):
        node = self.node
        self.say(
            {
                "n": doc.get("n"),
                "stat": {
                    "joined": node.member.joined,
                    "up": node.reach.up,
                    "counters": dict(node.counters.items()),
                },
            }
        )

    def address(self, sid):
        """Where frames for this peer go."""
        slot = self.node.peers.find(sid)
        return self.node.peers.addr(slot) if slot >= 0 else None

    # pings

    def _ping(self, series, token, cookie, now):
        tx = self.node.tx
        addr = series.addr if series.addr is not None else self.address(series.sid)
        if addr is None:
            return
        o = tx.begin(series.kind, series.sid, cookie=cookie)
        end = o + (_PING if series.kind == T_PING else QUERY_LEN)
        put30(tx.buf, o, token)
        tx.buf[o + 4 : end] = bytes(end - o - 4)
        tx.send(end, addr)
        self._frames[tx.counter] = (series, token)

    def _on_cookie(self, slot, buf, addr, now):
        o = self.node.gate.off
        known = self._frames.pop(u30(buf, o), None)
        if known is None:
            return self._cookie(slot, buf, addr, now)
        self._ping(known[0], known[1], bytes(buf[o + 4 : o + 12]), now)

    def _on_pong(self, slot, buf, addr, now):
        if not self._answered(buf, addr, now):
            self._pong(slot, buf, addr, now)

    def _on_answer(self, slot, buf, addr, now):
        if not self._answered(buf, addr, now):
            self._answer(slot, buf, addr, now)

    def _answered(self, buf, addr, now):
        token = u30(buf, self.node.gate.off)
        for s in self._pings:
            at = s.sent.pop(token, None)
            if at is not None:
                s.rtt.append(ticks.diff(now, at))
                way = format_endpoint(addr)
                s.ways[way] = s.ways.get(way, 0) + 1
                return True
        return False

    def _gave_up(self, now):
        """Say it once when a way that we opened will stay relayed, and why."""
        for sid, (n, since) in self._open.items():
            w = self.ways.of(sid)
            if w is not None and w.why and self._lost.get(sid) != w.why:
                self._lost[sid] = w.why
                self.say({"n": n, "open": "", "ms": ticks.diff(now, since), "why": w.why})

    def poll(self, now):
        wait = _IDLE_MS
        if not self._said and self.check is not None:
            self._ready()
            wait = 100
        if self._open:
            self._gave_up(now)
            wait = 100
        for s in list(self._pings):
            if s.left and ticks.diff(s.due, now) <= 0:
                self._token += 1
                s.left -= 1
                s.sent[self._token] = now
                s.due = ticks.add(now, s.every if s.left else _LOST_MS)
                self._ping(s, self._token, None, now)
            if not s.left and (not s.sent or ticks.diff(s.due, now) <= 0):
                self._pings.remove(s)
                self._frames = {k: v for k, v in self._frames.items() if v[0] is not s}
                self.say({"n": s.n, "pings": len(s.rtt) + len(s.sent), "lost": len(s.sent),
                          "rtt": s.rtt, "ways": s.ways})  # fmt: skip
                continue
            left = ticks.diff(s.due, now) if s.left else 20
            wait = left if left < wait else wait
        return wait if wait > 0 else 0

    # events

    def event(self, e):
        kind = e[0]
        if kind == EV_JOINED:
            self.say({"joined": e[1], "ms": e[2]})
        elif kind == EV_UPSTREAM:
            self.say({"upstream": e[1], "level": e[2]})
        elif kind == EV_REFUSED:
            self.say({"refused": e[1]})
        elif kind == EV_MAPPED:
            doc = self._asked.pop(e[1], {})
            mapped = None if e[2] is None else format_endpoint(e[2])
            self.say({"n": doc.get("n"), "stun": format_endpoint(e[1]), "mapped": mapped,
                      "ms": e[3]})  # fmt: skip
        elif kind in self.told:
            self.told[kind](e)


def text(b):
    return hexlify(b).decode()

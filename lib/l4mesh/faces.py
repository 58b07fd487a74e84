# floor 7: node
# Links to neighbours by Bluetooth: who is met, frames over them. RAM: 1.6 kB, 1.5 kB a link.
"""What goes on over Bluetooth links, without the radio (l4mesh_io/ble_gatt.py has that).

    faces = Faces(node, near)          near: a Nearby (nearby.py)
    face = faces.come(addr, now)       somebody connected to us; None: no more links, end it.
                                       A third argument: the fresh() value that it has read already
    face = faces.go(now)               face.device is to be connected to now; None: nobody
    faces.take(face, data, now)        what was written to our MAILBOX, or notified to us
    face.next() -> bytes or None       what is to be sent over the link next
    faces.tick(face, now) -> ms        until it wants to be asked again; 0: end the link
    faces.left(face, why, now)         the link is gone
    faces.poll(now) -> ms              a machine of node.late

A link begins with a meeting (meeting.py). Then frames go over it, in pieces, to and from the
endpoint 0.2 (met.py): PING, QUERY, HAND, SAY work as on a LAN. A frame for a neighbour that is
heard, and has no link, is kept for ten seconds, and `go` says that it should be connected to.

Bounds: two links from others, one to another at a time; ten seconds to say who one is, four for a
minute after somebody held a link for nothing; two minutes a link; four frames kept.
"""

from . import near_ask, ticks
from .compat import const
from .counters import C_BAD_LEN, C_LIMITED
from .face import LONGEST, TAKEN, Face
from .links import BLE, of
from .meeting import MET, OVER, Meeting
from .met import endpoint, met
from .near_table import N_NAMED, O_ASK, O_HEARD, O_MODE, O_TRIES, UPLINK
from .peers import O_MODE as P_MODE
from .peers import O_SAID, P_LAN
from .pieces import OWN, Joiner
from .wire import u30

_COME = const(2)
_KEPT = const(4)
_KEPT_MS = const(10000)
_UNUSED_MS = const(150)  # of who connected, when no frame came; the other one waits longest
_IDLE_MS = const(1500)
_IDLE_LONG_MS = const(6000)
_LIFE_MS = const(120000)
_LOOK_MS = const(5000)
_SHORT_MS = const(4000)
_LONG_MS = const(10000)
_WARY_MS = const(60000)


class Faces:
    def __init__(self, node, near):
        self._node = node
        self._near = near
        self.list = []
        self.met = self.failed = self.refused = 0
        self._held = []  # [endpoint, frame, since]
        self._wary = None
        self._looked = None
        of(node).serve(BLE, self.send)
        node.late.append(self)
        node.notes["meetings"] = self.why

    # links

    def fresh(self):
        """A value of RECORD for somebody who connects; None without a signed record."""
        own = self._node.own
        return bytes(own.record) + self._node.entropy(16) if own.ready else None

    def come(self, addr: bytes, now: int, value=None):
        if sum(not f.m.asks for f in self.list) >= _COME or not self._node.own.ready:
            self.refused += 1
            return None
        wary = self._wary is not None and ticks.diff(now, self._wary) < _WARY_MS
        m = Meeting(self._node, False, now, _SHORT_MS if wary else _LONG_MS, value)
        return self._open(m, (1, addr), now)

    def go(self, now: int):
        """One link to another at a time."""
        if not self._node.own.ready:
            return None
        if any(f.m.asks for f in self.list):
            return None
        i = self._asked(now)
        if i < 0:
            i = near_ask.wanted(self._near, self._node, now)
        if i < 0 or any(f.near == i for f in self.list):
            return None
        return self._open(Meeting(self._node, True, now), near_ask.device(self._near, i), now)

    def _open(self, m, device, now):
        m.counter = self._counter
        f = Face(m, self._near.table.at_addr(device[1]), now)
        f.device = device
        self.list.append(f)
        return f

    def _counter(self):
        """Of the newest frame before those that wait here: a new peer takes all later ones."""
        c = self._node.tx.counter
        for frame in [k[1] for k in self._held] + [x for f in self.list for x in f.out]:
            c = min(c, u30(frame, 24) - 1)
        return c

    def urgent(self, now: int, eager: bool) -> bool:
        """Is somebody to be connected to at once? `eager`: also for nothing but a record."""
        if any(f.m.asks for f in self.list) or not self._node.own.ready:
            return False
        if self._asked(now) >= 0:
            return True
        return eager and near_ask.wanted(self._near, self._node, now) >= 0

    def _asked(self, now):
        """A neighbour that frames are kept for, and that may be tried now."""
        t = self._near.table
        for addr, _, _ in self._held:
            i = self._heard(addr)
            if i >= 0:
                if not t.get(i, O_TRIES) or ticks.diff(now, t.tick(i, O_ASK)) >= 0:
                    return i
        return -1

    def _heard(self, addr):
        t = self._near.table
        for i in range(t.slots):
            if t.flags(i) and t.named(t.part(i, 0, 8)) == i and t.part(i, 0, 4) == addr[2:]:
                return i
        return -1

    def tick(self, f, now: int) -> int:
        m = f.m
        if f.over or m.state == OVER:
            return 0 if m.out is None or m.asks else 1  # a refusal is told first
        if m.state != MET:
            return m.left(now)
        if f.out and not f.waits:
            f.heard = now
        idle = _IDLE_LONG_MS if not m.asks else _IDLE_MS if f.used else _UNUSED_MS
        left = min(idle - ticks.diff(now, f.heard), _LIFE_MS - ticks.diff(now, f.began))
        return left if left > 0 else 0

    def left(self, f, why: str, now: int) -> None:
        """The link is gone: nothing of it stays but what was learnt, and what was not sent."""
        if f not in self.list:
            return
        self.list.remove(f)
        if f.m.state == MET:
            for frame in f.out:
                self._keep(f.addr, frame)
            return
        if not f.m.asks and ticks.diff(now, f.began) >= _SHORT_MS - 500:
            self._wary = now
        f.m.end(why)
        self.failed += 1
        f.near = self._near.table.at_addr(f.device[1])
        if f.near >= 0 and f.m.asks:
            near_ask.failed(self._near, f.near, now)

    # what comes

    def take(self, f, data: bytes, now: int) -> None:
        n = len(data)
        if not 0 < n <= LONGEST:
            f.over = "it wrote %d bytes at once" % n
            return self._node.counters.inc(C_BAD_LEN)
        if f.m.state == MET and not data[0] & OWN:
            f.heard = now
            f.used = True
            f.owes = f.m.asks
            n = f.joiner.push(data)
            if n > 0:
                self._node.receive(f.joiner.buf, n, f.addr, now)
            elif n < 0:
                self._node.counters.inc(C_BAD_LEN)
            return
        if data == TAKEN and f.waits:
            f.heard = now
            f.waits = False
            return
        f.m.heard(data, now)
        if f.m.state == MET and f.addr is None:
            f.owes = f.m.asks
            self._met(f, now)

    def _met(self, f, now):
        m = f.m
        sid = m.sid
        f.addr = endpoint(sid)
        f.joiner = Joiner()
        f.heard = now
        self.met += 1
        met(self._node, m, now)
        t = self._near.table
        f.near = t.at_addr(f.device[1])  # another one may have that slot by now
        if f.near < 0 or t.flags(f.near) & N_NAMED and t.part(f.near, 0, 8) != sid:
            if f.near >= 0:  # it is not who the advertisement said
                near_ask.failed(self._near, f.near, now)
            f.near = t.named(sid)
        if f.near >= 0 and t.flags(f.near):
            near_ask.met(self._near, f.near, sid, m.theirs, 0, now)
        for kept in list(self._held):
            if kept[0] == f.addr:
                f.queue(kept[1])
                self._held.remove(kept)

    # what goes

    def send(self, buf, n: int, addr: bytes) -> bool:
        """links.py: a frame for a neighbour by Bluetooth."""
        for f in self.list:
            if f.addr == addr and not f.over:
                return f.queue(bytes(buf[:n]))
        return self._heard(addr) >= 0 and self._keep(addr, bytes(buf[:n]))

    def _keep(self, addr, frame):
        if len(self._held) >= _KEPT:
            self._node.counters.inc(C_LIMITED)
            return False
        self._held.append([addr, frame, None])
        return True

    def poll(self, now: int) -> int:
        for kept in list(self._held):
            if kept[2] is None:
                kept[2] = now
            elif ticks.diff(now, kept[2]) > _KEPT_MS:
                self._held.remove(kept)
        if self._looked is None or ticks.diff(now, self._looked) >= _LOOK_MS:
            self._looked = now
            self._look(now)
        return 1000

    def _look(self, now):
        """Whom only Bluetooth reaches, its advertisements keep present and up to date."""
        p = self._node.peers
        t = self._near.table
        for k in range(p.slots):
            if p.flags(k) & P_LAN and p.addr(k)[:2] == b"\x00\x02":
                i = t.named(p.short_id(k))
                if i >= 0:
                    p.heard(k, ticks.add(now, -t.age(i, O_HEARD, now)))
                    mode = t.get(i, O_MODE)
                    p.set(k, O_SAID, 2 if mode & UPLINK else 0)
                    p.set(k, P_MODE, mode & 3)

    def why(self) -> str:
        return "%d met by Bluetooth, %d links open, %d failed." % (
            self.met, len(self.list), self.failed
        )  # fmt: skip

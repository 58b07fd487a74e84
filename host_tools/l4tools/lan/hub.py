"""The virtual Ethernet: one process that carries the datagrams of all virtual LANs.

Every virtual datagram socket is one real UDP socket on 127.0.0.1 that talks to the hub only; so
nothing can leave the machine, whatever a board sends. The cable protocol, to the hub:

    B addr6 [flags]  I am this virtual endpoint; answered 000000000000 B. Flags 1: a chip's socket
    G addr6          my IP joins this multicast group
    U                I am gone
    D addr6 payload  send

From the hub: `source6 payload`; to a chip's socket (flags 1) `source6 microseconds6 payload`, the
time of arrival on CLOCK_MONOTONIC from which the stand-in works out what a mailbox of six would
have lost. An empty datagram to a chip's socket is followed by a frame from 000000000000, so that
its poll stays readable, as the chip's does.
TCP to the hub's port: 6 bytes own address, 6 bytes destination; see tcp.py.
"""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable

from l4tools.errors import ToolError
from l4tools.lan import addr as A
from l4tools.lan.cuts import Cuts
from l4tools.lan.loop import Loop
from l4tools.lan.outside import Outside
from l4tools.lan.tcp import Forwarder

# One-way delays in ms, by class (see addr.delay_class).
DELAYS = {
    "self": 0.0,
    "lan": 1.0,
    "p2p": 3.0,
    "l3": 4.0,
    "l2": 20.0,
    "l1": 40.0,
    "l3l2": 16.0,
    "l2l1": 20.0,
    "l3l1": 36.0,
}
MTU = 1472
CHIP = 1
_BATCH = 64
_FILTERS = frozenset(("multicast", "broadcast", "clients"))


class _Endpoint:
    __slots__ = ("vaddr", "real", "chip")

    def __init__(self, vaddr, real, chip):
        self.vaddr, self.real, self.chip = vaddr, real, chip


class Hub:
    """`Hub().start()` runs it in a thread; `Hub(loop=loop)` joins a loop that runs already.

    `outside`: its endpoints reach UDP on this machine's loopback too, at its real addresses.
    """

    def __init__(
        self,
        loop: Loop | None = None,
        *,
        port: int = 0,
        seed: int = 1,
        delays: dict[str, float] | None = None,
        jitter: float = 0.0,
        loss: float = 0.0,
        forwards: dict[str, str] | None = None,
        outside: bool = False,
    ):
        self._own_loop = loop is None
        self.loop = loop or Loop()
        self._rng = random.Random(seed)
        self.delays = dict(DELAYS)
        self.jitter, self.loss = {}, {}
        self._cuts = Cuts()
        self._filters: dict[int, frozenset[str]] = {}  # LAN -> what its access point keeps back
        self._by_vaddr: dict[bytes, _Endpoint] = {}
        self._by_real: dict[tuple, _Endpoint] = {}
        self._ports: dict[tuple[int, bytes], list[_Endpoint]] = {}  # (lan, port) -> endpoints
        self._groups: set[tuple[bytes, bytes]] = set()  # (member ip, group ip)
        self._last_due: dict[tuple[bytes, bytes], float] = {}
        self._taps: list[Callable] = []
        self._sent: Counter = Counter()
        self._fate: Counter = Counter()
        self._host: dict[bytes, list[int]] = {}  # ip -> [sent, received]
        self._udp, self._tcp = _bind_pair(port)
        self.address: tuple[str, int] = self._udp.getsockname()
        self.configure(delays=delays, jitter=jitter, loss=loss)
        self._forwarder = Forwarder(self, self._tcp)
        self._outside = Outside(self.loop, self._deliver) if outside else None
        for virtual, real in (forwards or {}).items():
            self.forward(virtual, real)
        self.loop.add_reader(self._udp.fileno(), self._readable)

    # -- what a test or a demo turns; all thread-safe -------------------------------------------
    def start(self) -> "Hub":
        self.loop.start_thread("hub")
        return self

    def close(self) -> None:
        if self._own_loop:
            self.loop.stop()
        self.loop.call(self._close)
        if self._own_loop:
            self.loop.close()

    def _close(self):
        self.loop.remove_reader(self._udp.fileno())
        self._forwarder.close()
        if self._outside:
            self._outside.close()
        self._udp.close()

    def configure(self, delays=None, jitter=None, loss=None) -> dict:
        """Set delays {class: ms}, jitter (ms) and loss (0..1): a number, or {class: number}."""
        for cls, ms in (delays or {}).items():
            if cls not in DELAYS:
                raise ToolError("No delay class %r. There are: %s." % (cls, ", ".join(DELAYS)))
            self.delays[cls] = float(ms)
        for value, table in ((jitter, self.jitter), (loss, self.loss)):
            if isinstance(value, dict):
                table.update(value)
            elif value is not None:
                table.clear()
                table.update({cls: float(value) for cls in DELAYS if cls != "self"})
        return {"delays": self.delays, "jitter": self.jitter, "loss": self.loss}

    def cut(self, what: str) -> None:
        """Cut `l1`..`l3`, `upstream`, `lan:K` (its uplink), an IP, or a link `A-B` of those."""
        self.loop.call(self._cut, what)

    def _cut(self, what):
        self._cuts.add(what)
        self._forwarder.drop_cut()

    def heal(self, what: str | None = None) -> None:
        """Undo a `cut`; without argument all of them."""
        self.loop.call(self._cuts.remove, what)

    def filter(self, lan: int, what: str = "") -> None:
        """What the access point of a LAN keeps back: `multicast`, `broadcast`, `clients` (whatever
        one station sends to another), several with commas; empty: nothing."""
        parts = frozenset(part for part in what.replace(" ", "").split(",") if part)
        if parts - _FILTERS:
            raise ToolError("%r can't be filtered. There are: %s." % (what, ", ".join(_FILTERS)))
        self._filters[int(lan)] = parts

    def is_cut(self, src: bytes, dst: bytes) -> bool:
        return self._cuts.between(src, dst)

    def forward(self, virtual: str, real: str | None) -> None:
        """TCP to the virtual endpoint goes to this real loopback one (None: no longer)."""
        self.loop.call(self._forwarder.route, virtual, real)

    def way_in(self, virtual: str) -> str:
        """With `outside`: the address on loopback at which a virtual endpoint is reached."""
        return self.loop.call(self._outside.way_in, A.pack(virtual)) if self._outside else ""

    def drop(self, ip: str) -> None:
        """Forget all endpoints and connections of an IP: its power went."""
        self.loop.call(self._drop, A.pack_ip(ip))

    def _drop(self, ip4):
        for ep in [e for e in self._by_vaddr.values() if e.vaddr[:4] == ip4]:
            self._forget(ep)
        self._leave(ip4)
        self._forwarder.drop_ip(ip4)

    def leave(self, ip: str) -> None:
        """The station lost its access point: it is in no group any more."""
        self.loop.call(self._leave, A.pack_ip(ip))

    def _leave(self, ip4):
        self._groups = {g for g in self._groups if g[0] != ip4}

    def stats(self, reset: bool = False) -> dict:
        """{"sent": {class: n}, "fate": {..}, "host": {ip: [sent, received]}, "tcp": {..}}.

        Classes of `sent`: `lan`, `p2p`, `group`, and `board>l3`, `l3>l2`, `l1>board` .. by kind.
        `fate`: delivered, loss, cut, filtered, unbound (nobody there), refused (too long, no net).
        """
        return self.loop.call(self._stats, reset)

    def _stats(self, reset):
        out = {
            "sent": dict(self._sent),
            "fate": dict(self._fate),
            "host": {A.text_ip(ip): list(n) for ip, n in self._host.items()},
            "tcp": dict(self._forwarder.counts),
        }
        if reset:
            self._sent.clear()
            self._fate.clear()
            self._host.clear()
            self._forwarder.counts.clear()
        return out

    def endpoints(self) -> list[str]:
        return self.loop.call(lambda: sorted(A.text(v) for v in self._by_vaddr))

    def tap(self, fn: Callable) -> Callable[[], None]:
        """Call `fn(t, src6, dst6, payload, fate)` for each datagram; returns how to stop it.

        Runs in the hub's thread at the moment of sending; fate is `sent`, `loss`, `cut`,
        `filtered`, `unbound` or `refused`.
        """
        self._taps.append(fn)

        def stop():
            if fn in self._taps:
                self._taps.remove(fn)

        return stop

    # -- the cable ------------------------------------------------------------------------------
    def _readable(self):
        recv = self._udp.recvfrom
        for _ in range(_BATCH):
            try:
                frame, real = recv(2048)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            op = frame[:1]
            if op == b"D" and len(frame) >= 7:
                ep = self._by_real.get(real)
                if ep:
                    self._send(ep, frame[1:7], frame[7:])
                else:
                    self._fate["refused"] += 1
            elif op == b"B" and 7 <= len(frame) <= 8:
                self._bind(frame[1:7], real, frame[7:8] == b"\x01")
            elif op == b"G" and len(frame) == 7:
                ep = self._by_real.get(real)
                if ep and frame[1] >= 224:
                    self._groups.add((ep.vaddr[:4], frame[1:5]))
            elif op == b"U":
                ep = self._by_real.get(real)
                if ep:
                    self._forget(ep)

    def _bind(self, vaddr, real, chip):
        if A.lan_of(vaddr) < 0 or A.is_group(vaddr) or vaddr[4:] == b"\0\0":
            self._udp.sendto(A.NOBODY + b"E", real)
            return
        for old in (self._by_real.get(real), self._by_vaddr.get(vaddr)):
            if old:
                self._forget(old)
        ep = _Endpoint(vaddr, real, chip)
        self._by_vaddr[vaddr] = self._by_real[real] = ep
        self._ports.setdefault((vaddr[2], vaddr[4:]), []).append(ep)
        self._udp.sendto(A.NOBODY + b"B", real)

    def _forget(self, ep):
        self._by_vaddr.pop(ep.vaddr, None)
        self._by_real.pop(ep.real, None)
        peers = self._ports.get((ep.vaddr[2], ep.vaddr[4:]), [])
        if ep in peers:
            peers.remove(ep)

    def _send(self, ep, dst, payload):
        src = ep.vaddr
        self._host.setdefault(src[:4], [0, 0])[0] += 1
        if len(payload) > MTU:
            self._end(src, dst, payload, "refused")
        elif A.is_group(dst):
            self._sent["group"] += 1
            kept = self._filters.get(src[2], ())
            if "clients" in kept or ("multicast" if 224 <= dst[0] < 240 else "broadcast") in kept:
                self._end(src, dst, payload, "filtered")
                return
            for other in self._listeners(src, dst):
                self._carry(src, other.vaddr, payload)
        elif A.lan_of(dst) < 0:
            out = self._outside is not None and self._outside.send(src, dst, payload)
            self._end(src, dst, payload, "outside" if out else "refused")
        else:
            cls = A.delay_class(src, dst)
            local = cls in ("self", "lan", "p2p")
            if cls == "lan" and "clients" in self._filters.get(src[2], ()):
                self._end(src, dst, payload, "filtered")
                return
            self._sent[cls if local else A.kind(src) + ">" + A.kind(dst)] += 1
            self._carry(src, dst, payload, cls)

    def _listeners(self, src, dst):
        """Who hears a multicast or broadcast: bound to the port, in the same LAN, not itself."""
        lan = src[2]
        if not lan or (dst[:2] == A.NET and dst[2] != lan):
            return []
        heard = [e for e in self._ports.get((lan, dst[4:]), ()) if e.vaddr[:4] != src[:4]]
        if 224 <= dst[0] < 240:
            heard = [e for e in heard if (e.vaddr[:4], dst[:4]) in self._groups]
        return heard

    def _carry(self, src, dst, payload, cls="lan"):
        if self._cuts and self._cuts.between(src, dst):
            self._end(src, dst, payload, "cut")
            return
        loss = self.loss.get(cls, 0.0)
        if loss and self._rng.random() < loss:
            self._end(src, dst, payload, "loss")
            return
        if dst not in self._by_vaddr:
            self._end(src, dst, payload, "unbound")
            return
        now = time.monotonic()
        for fn in self._taps:
            fn(now, src, dst, payload, "sent")
        delay = self.delays[cls] + self._rng.random() * self.jitter.get(cls, 0.0)
        due = now + delay / 1000.0
        pair = (src, dst)
        due = max(due, self._last_due.get(pair, 0.0))  # jitter never reorders a pair
        if len(self._last_due) > 4096:
            self._last_due = {p: t for p, t in self._last_due.items() if t > now}
        self._last_due[pair] = due
        if delay <= 0:
            self._deliver(src, dst, payload)
        else:
            self.loop.call_at(due, self._deliver, src, dst, payload)

    def _deliver(self, src, dst, payload):
        ep = self._by_vaddr.get(dst)
        if ep is None:
            self._fate["unbound"] += 1
            return
        if self._cuts and self._cuts.between(src, dst):
            self._fate["cut"] += 1
            return
        self._fate["delivered"] += 1
        self._host.setdefault(dst[:4], [0, 0])[1] += 1
        send = self._udp.sendto
        try:
            if ep.chip:
                stamp = int(time.monotonic() * 1e6).to_bytes(6, "big")
                send(src + stamp + payload, ep.real)
                if not payload:
                    send(A.NOBODY, ep.real)
            else:
                send(src + payload, ep.real)
        except OSError:  # its socket buffer or ours is full: that is loss
            self._fate["loss"] += 1

    def _end(self, src, dst, payload, fate):
        self._fate[fate] += 1
        if self._taps:
            now = time.monotonic()
            for fn in self._taps:
                fn(now, src, dst, payload, fate)

    # -- control channel ------------------------------------------------------------------------
    def control_ops(self) -> dict[str, Callable]:
        return {
            "cut": self.cut,
            "heal": self.heal,
            "filter": self.filter,
            "configure": self.configure,
            "forward": self.forward,
            "drop": self.drop,
            "leave": self.leave,
            "stats": self.stats,
            "endpoints": self.endpoints,
            "hub": lambda: "%s:%d" % self.address,
            "tap": self._tap_json,
        }

    def _tap_json(self, emit):
        def fn(t, src, dst, payload, fate):
            line = {"t": t, "src": A.text(src), "dst": A.text(dst)}
            emit({**line, "hex": payload.hex(), "fate": fate})

        return self.tap(fn)


def _bind_pair(port: int):
    """A UDP and a listening TCP socket on one loopback port."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.bind(("127.0.0.1", port))
            tcp.bind(udp.getsockname())
            tcp.listen(64)
        except OSError:
            udp.close()
            tcp.close()
            if port:
                break
            continue
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        udp.setblocking(False)
        tcp.setblocking(False)
        return udp, tcp
    raise ToolError("Port %d on 127.0.0.1 is taken. Choose another, or 0 for any." % port)

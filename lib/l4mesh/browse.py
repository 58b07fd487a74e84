# floor 5: machines
# Looks for nodes by DNS-SD, from any port. RAM: 5 kB while it looks.
"""One-shot query (RFC 6762 5.1): the question goes to 224.0.0.251:5353 from a port of its own,
three times in three seconds; answers come back to that port alone. So it works beside the mDNS
that stock firmware has on port 5353, which cannot be shared there.

    b = Browse(sockets, entropy, found, mode=b"")     sockets: open(port, take), as node.sockets
    b.start(now) -> bool                              False: no socket is to be had
    b.poll(now) -> ms                                 b.done: it is over, the socket closed
    found(label, endpoint, texts)                     once for each instance; texts: {key: value}

Anybody on the LAN may answer whatever they like: what is found is a hint, the mesh's own frames
say who it is. 32 instances at most; answers count from port 5353, with the number that was asked.
"""

from . import ticks
from .compat import const
from .dnssd import SERVICE, instances, parse, question, subtype

_GROUP = bytes((224, 0, 0, 251, 5353 >> 8, 5353 & 255))
_TIMES = (0, 1000, 3000)
_END_MS = const(4500)
_MOST = const(32)


class Browse:
    def __init__(self, sockets, entropy, found, mode=b""):
        self._sockets = sockets
        self._found = found
        self._name = subtype(mode) if mode else SERVICE
        r = entropy(2)
        self._ident = (r[0] << 8 | r[1]) or 1
        self._sock = None
        self._began = self._asked = 0
        self._seen = []
        self.done = True

    def start(self, now: int) -> bool:
        self._sock = self._sockets.open(0, self._take)
        self._began = now
        self._asked = 0
        self.done = self._sock is None
        return not self.done

    def poll(self, now: int) -> int:
        if self.done:
            return 60000
        age = ticks.diff(now, self._began)
        if not 0 <= age < _END_MS:
            self.close()
            return 60000
        if self._asked < len(_TIMES) and age >= _TIMES[self._asked]:
            self._asked += 1
            b = bytearray(96)
            self._sock.send(b, question(b, self._ident, self._name), _GROUP)
        end = _TIMES[self._asked] if self._asked < len(_TIMES) else _END_MS
        return max(1, end - age)

    def close(self) -> None:
        self.done = True
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _take(self, buf, n, addr, now, sock):
        if addr[4:] != _GROUP[4:]:
            return
        for label, _, at, texts in instances(parse(buf, n, self._ident) or (), self._name):
            if label not in self._seen and len(self._seen) < _MOST:
                self._seen.append(label)
                self._found(label, at, texts)

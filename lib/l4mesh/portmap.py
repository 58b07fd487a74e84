# floor 5: machines
# Asks the home router for a fixed mapping of own port: PCP, NAT-PMP. RAM: 4.5 kB, if wanted.
"""pm = PortMap(node, gateway, told)     for node.late

    gateway() -> 4 bytes or None            the router's address on our LAN
    told(endpoint or None, now)             the router maps this outside endpoint to own port;
                                            None: no longer
    pm.stop(now)                            give it back; the router need not remember us
    pm.why() -> sentence

PCP (RFC 6887) first, NAT-PMP (RFC 6886) where the router only knows that: a request of 60 bytes,
or two of 12 and 2, four times, after 250 ms and doubled. For an hour, renewed after half of it.
Who refuses or is silent is asked again an hour later, or when own address changes. A mapping that
could not be renewed is kept until its time is over. UPnP is not spoken.

By a throw-away socket, so that off the path nobody knows where to send a forged answer to; PCP has
a nonce besides. The answer is the router's word; whether its outside address is the one that
assistants see, and not that of a second NAT, is for natcheck.py to compare.
"""

from . import ticks
from .compat import const
from .endpoint import format_endpoint
from .wire import put30, u16

_PORT = b"\x14\xe7"  # 5351
_LIFE_S = const(3600)
_LEAST_MS = const(60000)
_AGAIN_MS = const(3600000)
_GAPS = (250, 500, 1000, 2000)
_UDP = const(17)
_V4 = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
_PCP = const(60)
_LOOK_MS = const(5000)
# What is asked for; answers have 128 more.
_ADDRESS = const(0)
_MAP = const(1)

_REFUSED = {
    2: "gives no port to us",
    3: "has no outside address",
    4: "has no port left",
    7: "has no outside address",
    8: "has no port left",
    12: "is not the only router",
}


class PortMap:
    def __init__(self, node, gateway, told):
        self._node = node
        self._gateway = gateway
        self._told = told
        self._sock = None  # there while it asks
        self._nonce = node.entropy(12)
        self._buf = bytearray(_PCP)
        self._local = None
        self._router = None
        self._ip = None  # outside address, as NAT-PMP told it
        self._tries = self._due = self._until = 0
        self.pcp = True
        self.outside = None
        self.reason = ""

    def why(self) -> str:
        if self.outside is not None:
            how = "PCP" if self.pcp else "NAT-PMP"
            return "the router maps %s (%s)" % (format_endpoint(self.outside), how)
        return self.reason or "the router was not asked yet"

    # time

    def poll(self, now: int) -> int:
        local = self._node.link.local
        if local != self._local:
            self._end("", now, 0)
            self._local = local
        left = ticks.diff(self._due, now)
        if left <= 0:
            left = self._step(now)
            self._due = ticks.add(now, left)
        return min(left, _LOOK_MS)

    def _step(self, now):
        if self._sock is None:
            return self._begin(now)
        if self._tries < len(_GAPS):
            return self._request()
        if self.outside is not None:  # not renewed: it holds for a while yet
            self._close()
            left = ticks.diff(self._until, now)
            if left > _LEAST_MS:
                return left // 2
        elif self.pcp:  # some NAT-PMP routers drop what they do not know
            self.pcp = False
            self._tries = 0
            return self._request()
        return self._end("the router speaks neither PCP nor NAT-PMP", now, _AGAIN_MS)

    def _begin(self, now):
        if self.outside is None:
            self.pcp = True
        self._router = self._gateway()
        if self._router is None or not _private(self._local):
            return self._end("no router in front of us", now, _LEAST_MS)
        sockets = self._node.sockets
        self._sock = sockets.open(0, self._take) if sockets is not None else None
        self._tries = 0
        return _LOOK_MS if self._sock is None else self._request()

    def _request(self):
        gap = _GAPS[self._tries]
        self._tries += 1
        if self.pcp:
            self._send(self._write_pcp(_LIFE_S))
        else:
            self._buf[0] = self._buf[1] = 0
            self._send(2)
            self._send(self._write_pmp(_LIFE_S))
        return gap

    def _send(self, n):
        self._sock.send(self._buf, n, self._router + _PORT)

    def _write_pmp(self, life_s):
        b = self._buf
        b[0] = b[2] = b[3] = 0
        b[1] = _MAP
        b[4:6] = self._local[4:]
        # The same as inside, or the one that we had: a port that stays is worth more.
        b[6:8] = (self.outside or self._local)[4:] if life_s else b"\x00\x00"
        put30(b, 8, life_s)
        return 12

    def _write_pcp(self, life_s):
        b = self._buf
        for i in range(_PCP):
            b[i] = 0
        b[0] = 2
        b[1] = _MAP
        put30(b, 4, life_s)
        b[8:20] = b[44:56] = _V4
        b[20:24] = self._local[:4]
        b[24:36] = self._nonce
        b[36] = _UDP
        b[40:42] = self._local[4:]
        if life_s:
            b[42:44] = (self.outside or self._local)[4:]
            if self.outside is not None:
                b[56:60] = self.outside[:4]
        return _PCP

    # answers

    def _take(self, buf, n, addr, now, sock):
        if addr != self._router + _PORT or n < 4:
            return
        if buf[0] == 2 and self.pcp:
            self._take_pcp(buf, n, now)
        elif buf[0] == 0 and buf[1] & 128:
            if not self.pcp:
                self._take_pmp(buf, n, now)
            elif self.outside is None:  # "unsupported version": it knows the older one only
                self.pcp = False
                self._tries = 0
                self._due = ticks.add(now, self._request())

    def _take_pcp(self, buf, n, now):
        # An error need not repeat what was asked; if it does, it must be ours.
        if buf[1] != 128 | _MAP or n < 24 or n >= 36 and bytes(buf[24:36]) != self._nonce:
            return
        if buf[3]:
            return self._refused(buf[3], now)
        if n < _PCP or buf[36] != _UDP or bytes(buf[44:56]) != _V4:
            return
        if bytes(buf[40:42]) == self._local[4:]:
            self._have(bytes(buf[56:60]) + bytes(buf[42:44]), _seconds(buf, 4), now)

    def _take_pmp(self, buf, n, now):
        if u16(buf, 2):
            self._refused(u16(buf, 2), now)
        elif buf[1] == 128 | _ADDRESS and n == 12:
            self._ip = bytes(buf[8:12])
        elif buf[1] == 128 | _MAP and n == 16 and bytes(buf[8:10]) == self._local[4:]:
            if self._ip is not None:  # else both are asked for once more
                self._have(self._ip + bytes(buf[10:12]), _seconds(buf, 12), now)

    def _refused(self, code, now):
        self._end("the router " + _REFUSED.get(code, "gives no port"), now, _AGAIN_MS)

    def _have(self, outside, life_s, now):
        if not 0 < outside[0] < 224 or outside[4:] == b"\x00\x00" or not life_s:
            return self._refused(0, now)
        self._close()
        life_ms = min(life_s, _LIFE_S) * 1000
        self._until = ticks.add(now, life_ms)
        self._due = ticks.add(now, max(life_ms // 2, _LEAST_MS))
        if outside != self.outside:
            self.outside = outside
            self._told(outside, now)

    def _close(self):
        self._ip = None
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _end(self, reason, now, wait):
        """Without a mapping, until `wait` ms are over."""
        self._close()
        self.reason = reason
        self._due = ticks.add(now, wait)
        if self.outside is not None:
            self.outside = None
            self._told(None, now)
        return wait

    def stop(self, now: int) -> None:
        """Give the port back: one datagram, no answer is waited for."""
        if self.outside is not None:
            if self._sock is None and self._node.sockets is not None:
                self._sock = self._node.sockets.open(0, self._take)
            if self._sock is not None:
                self._send(self._write_pcp(0) if self.pcp else self._write_pmp(0))
        self._end("", now, _AGAIN_MS)


def _seconds(b, o):
    """Four bytes as seconds, a week at most."""
    return 604800 if b[o] or b[o + 1] > 9 else b[o + 1] << 16 | b[o + 2] << 8 | b[o + 3]


def _private(a):
    if a[0] == 100:
        return 64 <= a[1] < 128  # a carrier's router may speak PCP as well
    return a[0] == 10 or a[0] == 192 and a[1] == 168 or a[0] == 172 and 16 <= a[1] < 32

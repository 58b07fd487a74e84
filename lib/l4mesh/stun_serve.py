# floor 5: machines
# STUN answered on the mesh port. RAM: 1 kB and its code, from the first request on.
"""Anybody may ask a standard-mode node for the address it is seen at (stun.py has the bytes).

    serve = StunServe(home)            a node or a tier: its limits, entropy, counters, link
    serve.take(buf, n, addr, now)      a datagram with the form of a Binding request

The limits stand in the one table, the buckets are apart from those of the mesh: STUN can't use up
what neighbours may ask, nor they STUN's. A bucket belongs to an address whatever its port, since
who forges a source is free to choose ports. The answer goes to where the question came from and
nowhere else. Indications, answers, malformed messages get no word.
"""

from .counters import C_STUN_LIMITED, C_STUN_RX, C_STUN_TX
from .limits import Limits
from .stun import OUT, Message


class StunServe:
    def __init__(self, home):
        t = home.limits.table
        # Nobody is a known peer here, and strangers have half of the global rate.
        table = {
            "addr_s": t["stun_addr_s"],
            "addr_burst": 2 * t["stun_addr_s"],
            "global_s": 2 * t["stun_s"],
            "global_burst": 2 * t["stun_s"],
            "buckets": max(1, t["buckets"] // 4),
        }
        self._limits = Limits(table, 0, home.entropy)
        self._count = home.counters
        self._link = home.link
        self._message = Message()
        self._out = bytearray(OUT)

    def take(self, buf, n: int, addr: bytes, now: int) -> None:
        count = self._count
        count.inc(C_STUN_RX)
        if not 0 < addr[0] < 224 or addr[3] == 255:  # a crowd is no asker
            return
        if not self._limits.allow(addr[:4] + b"\x00\x00", False, now):
            count.inc(C_STUN_LIMITED)
            return
        m = self._message
        if m.read(buf, n):
            n = m.answer(buf, addr, self._out)
            if n and self._link.send(self._out, n, addr):
                count.inc(C_STUN_TX)

"""A tier as a relay for members that cannot reach each other (docs/protocol.md 10): CALL, CALLED.

The relay itself is that of lib/l4mesh; here are its figures, and who may ask: whoever's node key
this tier can check, which is what makes a member, and no tier. L1 is the last step of the ladder
and refuses no member: when it is full, the longest idle channel ends.
"""

from l4mesh.calls import CALL_LEN, OFF, STRANGER, put_called
from l4mesh.links import TCP
from l4mesh.peers import P_PROVEN
from l4mesh.relay import Relay
from l4mesh.wire import T_CALLED

from ..link import now_ms

_L3 = {
    "places": 128, "place_s": 3600, "channels": 1024, "of_one": 16, "from_ip": 8,
    "packets_s": 100, "kbit_s": 64, "kib": 1024, "life_s": 600, "idle_s": 60, "rest_s": 0,
    "always": False,
}  # fmt: skip
_L1 = {
    **_L3, "places": 20_000, "channels": 20_000, "of_one": 64, "from_ip": 256, "always": True,
}  # fmt: skip
FIGURES = {3: _L3, 1: _L1}


class Relays:
    """`tier.ways`: `take` gets what begins with C5."""

    def __init__(self, tier, figures=None):
        self._tier = tier
        own = tier.link.local if tier.link is not None else bytes(6)
        known = FIGURES.get(tier.level) if figures is None else figures
        if not tier.cfg.relay:
            known = None
        self.relay = (
            None
            if known is None
            else Relay(known, tier.send, self._tell, tier.entropy, own, tier.loopback, self._ip)
        )

    def _ip(self, addr):
        tier = self._tier
        if not addr[0] and addr[1] == TCP and tier.tcp is not None:
            return tier.tcp.ip_of(addr)
        return addr[:4]

    def take(self, buf, n, addr, now) -> bool:
        return self.relay is not None and self.relay.take(buf, n, addr, now)

    def on_call(self, slot, sid, buf, addr, started_ns):
        tier = self._tier
        if not tier.allowed(slot, buf, addr):
            return
        g = tier.gate
        token, what = buf[g.off : g.off + 4], buf[g.off + 4]
        peer = buf[g.off + 6 : g.off + CALL_LEN]
        if self.relay is None:
            self._say(sid, addr, g.linked, token, what, OFF, peer)
        elif not g.linked or sid in tier.below or sid in tier.above or peer in tier.below:
            self._say(sid, addr, g.linked, token, what, STRANGER, peer)
        else:
            self.relay.call(sid, addr, bytes(token), what, bytes(peer), now_ms())

    def heard(self, slot, sid, addr) -> None:
        """A frame under this node's key came from `addr`: it may have moved."""
        tier = self._tier
        if not addr[0]:
            if addr[1] != TCP or tier.tcp is None:
                return
            tier.tcp.good(addr)
        elif not tier.peers.flags(slot) & P_PROVEN or not tier.peers.addr_is(slot, addr):
            return
        if self.relay is not None:
            self.relay.moved(sid, addr)

    def tick(self, now) -> None:
        if self.relay is not None:
            self.relay.poll(now)

    def _say(self, sid, addr, linked, token, what, status, peer):
        payload = bytearray(26)
        put_called(payload, 0, token, what, status, peer, bytes(8), 0, 0)
        self._tier.reply(T_CALLED, sid, addr, bytes(payload), linked)

    def _tell(self, sid, addr, token, what, status, peer, channel, good_s, kib):
        payload = bytearray(26)
        put_called(payload, 0, token, what, status, peer, channel, good_s, kib)
        self._tier.reply(T_CALLED, sid, addr, bytes(payload))

    def describe(self) -> dict | None:
        """For the tier's status."""
        r = self.relay
        if r is None:
            return None
        return {
            "channels": len(r),
            "places": r.places,
            "carried": r.carried,
            "dropped": r.dropped,
            "refused": r.refused,
        }

# floor 6: pipeline
# A node that relays for others: told to by its config, off otherwise. RAM: 5 kB with its code.
"""begin(node): from now on this node takes CALLs of members, tagged with the group key, and hands
on what belongs to its channels. It says so in its record (capability 4); nodes ask it only when no
tier is reached (ways.py).
"""

from .calls import CALL_LEN, OFF, OVER_RELAY, put_called
from .counters import C_BAD_PARSE
from .record import CAP_RELAYS
from .relay import Relay
from .wire import STANDARD, T_CALL, T_CALLED


class Relaying:
    def __init__(self, node):
        self._node = node
        t = node.limits.table
        figures = {
            "places": 2 * t["relay_sessions"],
            "place_s": 120,
            "channels": t["relay_sessions"],
            "of_one": t["relay_peer_sessions"],
            "from_ip": 2 * t["relay_peer_sessions"],
            "packets_s": t["relay_s"],
            "kbit_s": t["relay_kbit_s"],
            "kib": t["relay_kib"],
            "life_s": t["relay_life_s"],
            "idle_s": t["relay_idle_s"],
            "rest_s": 60,
            "always": False,
        }
        self.relay = Relay(
            figures, node.link.send, self._tell, node.entropy, node.link.local, node.loopback
        )
        self.take = self.relay.take
        self.poll = self.relay.poll

    def on_call(self, slot: int, buf, addr: bytes, now: int) -> None:
        """A CALL that passed the gate."""
        node = self._node
        g = node.gate
        if g.linked:
            node.counters.inc(C_BAD_PARSE)
        elif node.inbox.allowed(slot, buf, addr, now):
            o = g.off
            token = bytes(buf[o : o + 4])
            what = buf[o + 4]
            peer = bytes(buf[o + 6 : o + CALL_LEN])
            if not addr[0]:  # it came by a way or a link
                self._tell(g.sid, addr, token, what, OVER_RELAY, peer, bytes(8), 0, 0)
            elif node.serve.mode < STANDARD:
                self._tell(g.sid, addr, token, what, OFF, peer, bytes(8), 0, 0)
            else:
                self.relay.call(g.sid, addr, token, what, peer, now)

    def document(self, now: int) -> list:
        """No way of its own (ways.py has the same)."""
        return []

    def _tell(self, sid, addr, token, what, status, peer, channel, good_s, kib):
        tx = self._node.tx
        o = tx.begin(T_CALLED, sid)
        tx.send(put_called(tx.buf, o, token, what, status, peer, channel, good_s, kib), addr)


def begin(node) -> Relaying:
    r = Relaying(node)
    node.inbox.handle(T_CALL, r.on_call)
    node.late.append(r)
    node.own.more |= CAP_RELAYS
    node.own.set_caps(node.own.caps)
    if node.ways is None:
        node.ways = r
    else:
        node.ways.relay = r
    return r

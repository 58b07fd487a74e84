# floor 5: machines
# Takes small mail for this node, each once. RAM: 0.3 kB, with the first that comes.
"""MAIL and MAILED (docs/protocol.md 4): at most 128 bytes for a node that is not always awake.

    box = Mailbox(node)                  box.on_mail(slot, buf, addr, now)
    box.known                            4 bytes of each of the last four (kept over a deep sleep)
    event (EV_MAIL, from, data)          somebody sent this to us

MAIL: receiver 8, sender 8, number 4, minutes 2 (kept so long at most), data. It comes from its
sender, or from the neighbour that kept it (post.py). The answer is shorter and needs no state, so
nobody has to prove an address for it. Whose word it is the group key alone says: what has to be
signed is signed by its sender (say.py).
"""

from hashlib import sha256

from .compat import const
from .counters import C_BAD_PARSE, C_LIMITED
from .events import EV_MAIL
from .wire import T_MAILED

MAIL_HEAD = const(22)
MAIL_MOST = const(128)
KEPT = const(0)
GOT = const(1)
NO_ROOM = const(2)
NOT_HERE = const(3)
_KNOWN = const(16)
_BEHIND = const(12)


def answer(tx, buf, off: int, status: int, peer, addr) -> None:
    """MAILED to `peer`, for the MAIL whose payload is at `off`: its first 20 bytes, and a word."""
    o = tx.begin(T_MAILED, peer)
    tx.buf[o : o + 20] = buf[off : off + 20]
    tx.buf[o + 20] = status
    tx.send(o + 21, addr)


class Mailbox:
    def __init__(self, node):
        self._node = node
        self.known = b""
        self.came = 0

    def on_mail(self, slot: int, buf, addr: bytes, now: int) -> None:
        node = self._node
        g = node.gate
        o = g.off
        if g.linked or not MAIL_HEAD < g.end - o <= MAIL_HEAD + MAIL_MOST:
            node.counters.inc(C_BAD_PARSE)
        elif buf[o : o + 8] != node.short_id:
            self._other(slot, buf, addr, now)
        elif not node.limits.allow_id(slot, now):
            node.counters.inc(C_LIMITED)
        else:
            self._mine(buf, g, addr)

    def _mine(self, buf, g, addr):
        o = g.off
        sender = bytes(buf[o + 8 : o + 16])
        mark = sha256(bytes(buf[o + 8 : o + 20])).digest()[:4]
        if mark not in [self.known[i : i + 4] for i in range(0, len(self.known), 4)]:
            events = self._node.events
            if events.count > _BEHIND:
                return  # the application reads slowly: it will be sent again
            events.put((EV_MAIL, sender, bytes(buf[o + MAIL_HEAD : g.end])))
            self.known = (self.known + mark)[-_KNOWN:]
            self.came += 1
        answer(self._node.tx, buf, o, GOT, g.sid, addr)

    def _other(self, slot, buf, addr, now):
        """For somebody else: post.py keeps it, a node without that does not."""
        self._node.counters.inc(C_BAD_PARSE)

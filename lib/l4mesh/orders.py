# floor 5: machines
# The owner's orders to a node: blink, restart, show the log, forget the keys. RAM: on demand only.
"""DO and DONE (docs/protocol.md 4). What comes here was tagged and sealed with the node key and
carries a cookie of the last two minutes, so it is no replay of an older order.

The node key is also with the tiers. So what changes something (SIGNED) needs the signature of the
network's owner on top, over the cookie too: a stolen tier can neither make such an order nor send
one again later. A signature costs a board half a second: one check every two seconds.

An order that comes again (same order id) gets the same answer and is not done twice.

care.owner                      owner's public key, 32 bytes, or None
care.do(kind, arg, room) -> (status, arg, data)     `room`: bytes of data that may go back
"""

from . import ticks
from .compat import const
from .counters import C_BAD_SIG, C_LIMITED
from .wire import COOKIE_LEN, HEAD, MAX_PAYLOAD, T_DONE, TAG, put30, u30

DO_IDENTIFY = 1
DO_RESTART = 2
DO_LOG = 3
DO_CRASH = 4
DO_FORGET = 5
DO_REVOKE = 6  # tiers only, as is the next
DO_READMIT = 7
DO_PUBLISH = 8  # L1 only
DO_GROUP = 9  # tiers only
SIGNED = (DO_RESTART, DO_FORGET, DO_REVOKE, DO_READMIT, DO_PUBLISH, DO_GROUP)

DONE = 0
NOT_HERE = 1
REFUSED = 2
BUSY = 3

F_SIGNED = const(1)
ORDER_HEAD = const(14)  # order id 8, kind 1, flags 1 (DONE: status), argument 4
_SIG = const(64)
_CHECK_MS = const(2000)


def signed_text(node_id, cookie, payload):
    """What the owner signs: an order for this node, while this cookie is good."""
    return b"l4-do-v1\x00" + node_id + cookie + payload


class Orders:
    def __init__(self, node):
        self._node = node
        self._care = node.caring() if node.caring is not None else None
        self._last = None  # order id, and what was answered
        self._answer = None
        self._checked = None

    def take(self, b, off, end, peer, addr, now):
        """An order, opened; b[off:end] is its payload, the 8 bytes before it a good cookie."""
        kind = b[off + 8]
        oid = bytes(b[off : off + 8])
        room = min(MAX_PAYLOAD, 3 * (end + TAG) - HEAD - TAG) - ORDER_HEAD
        if oid == self._last:
            status, arg, data = self._answer
        else:
            status, arg, data = self._do(b, off, end, kind, room, now)
            if status == DONE and kind in SIGNED:
                self._last = oid
                self._answer = (status, arg, data)
        self._reply(oid, kind, status, arg, data, peer, addr)

    def _do(self, b, off, end, kind, room, now):
        if self._care is None:
            return NOT_HERE, 0, b""
        if kind in SIGNED:
            status = self._allowed(b, off, end, now)
            if status:
                return status, 0, b""
        arg = u30(b, off + 10)
        if arg < 0:
            return NOT_HERE, 0, b""
        return self._care.do(kind, arg, room)

    def _allowed(self, b, off, end, now):
        """DONE when the owner signed it."""
        owner = self._care.owner
        count = self._node.counters
        if owner is None or not b[off + 9] & F_SIGNED or end - off < ORDER_HEAD + _SIG:
            count.inc(C_BAD_SIG)
            return REFUSED
        if self._checked is not None and 0 <= ticks.diff(now, self._checked) < _CHECK_MS:
            count.inc(C_LIMITED)
            return BUSY
        self._checked = now
        from . import ed25519

        end -= _SIG
        text = signed_text(self._node.id, bytes(b[off - COOKIE_LEN : off]), bytes(b[off:end]))
        if ed25519.verify(owner, text, bytes(b[end : end + _SIG])):
            return DONE
        count.inc(C_BAD_SIG)
        return REFUSED

    def _reply(self, oid, kind, status, arg, data, peer, addr):
        tx = self._node.tx
        o = tx.begin(T_DONE, peer, link=True, sealed=True)
        b = tx.buf
        b[o : o + 8] = oid
        b[o + 8] = kind
        b[o + 9] = status
        put30(b, o + 10, arg)
        b[o + ORDER_HEAD : o + ORDER_HEAD + len(data)] = data
        tx.send(o + ORDER_HEAD + len(data), addr)

# floor 5: machines
# The one transmit buffer: header, payload, seal, tag, counter. RAM: 1.2 kB.
"""Frames are written into `tx.buf` in place:

    o = tx.begin(T_PING, short_id_or_None, link=False)   # offset of the payload
    ... write at tx.buf[o:] ...
    tx.send(end, addr)                                   # seals, tags, counts, sends

`link=True` tags with the node key of the link to `peer`. `cookie` (8 bytes) goes first.
"""

from struct import pack_into

from .compat import const
from .counters import C_TX, C_TX_FAIL
from .seal import seal
from .wire import (
    ANYONE,
    COOKIE_LEN,
    F_COOKIE,
    F_LINK,
    F_SEALED,
    HEAD,
    MAX_FRAME,
    TAG,
    VERSION,
    clear_len,
)

_HASH = const(32)
_AFTER = HEAD + COOKIE_LEN


class Sender:
    def __init__(self, link, keys, counters, net: bytes, short_id: bytes, epoch: int = 1):
        # The tag is copied with the half of its hash that is not sent: no slice of it is made.
        self.buf = bytearray(MAX_FRAME + _HASH - TAG)
        self.view = memoryview(self.buf)
        self.keys = keys
        self._link = link
        self._count = counters
        self.epoch = epoch
        self.counter = 0
        self._peer = None
        self._clear = HEAD
        self.buf[0] = VERSION
        self.buf[4:8] = net
        self.buf[8:16] = short_id

    def over(self, link) -> None:
        """Send by `link` from now on (links.py)."""
        self._link = link

    def begin(self, kind: int, peer, link: bool = False, sealed: bool = False, cookie=None) -> int:
        """Start a frame; `peer`: a short id, ALL or None (whoever). Returns the payload offset."""
        b = self.buf
        self.counter += 1
        b[1] = kind
        b[2] = (F_LINK if link else 0) | (F_SEALED if sealed else 0) | (F_COOKIE if cookie else 0)
        b[3] = 0 if link else self.keys.number
        self._address(peer)
        if cookie:
            b[HEAD:_AFTER] = cookie
            self._clear = _AFTER + clear_len(kind)
            return _AFTER
        self._clear = HEAD + clear_len(kind)
        return HEAD

    def _address(self, peer):
        self._peer = peer
        if peer is None:
            peer = ANYONE
        # What of it is too long is written over by the next line.
        self.buf[16 : 16 + len(peer)] = peer
        pack_into(">II", self.buf, 20, self.epoch, self.counter)

    def close(self, end: int) -> int:
        """Seal and tag what was written; returns the frame's length, 0 without a key."""
        b = self.buf
        if b[2] & F_SEALED:
            mac = self.keys.link_seal(self._peer)
            if mac is None:
                return 0
            seal(mac, b, 0, self._clear, end)
        mac = self.keys.link(self._peer) if b[2] & F_LINK else self.keys.group(self.keys.number)
        if mac is None:
            return 0
        b[end : end + _HASH] = mac.tag(self.view[:end])
        return end + TAG

    def send(self, end: int, addr: bytes) -> bool:
        n = self.close(end)
        if n and self._link.send(self.buf, n, addr):
            self._count.inc(C_TX)
            return True
        self._count.inc(C_TX_FAIL)
        return False

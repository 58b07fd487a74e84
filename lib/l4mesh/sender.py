# floor 5: machines
# The one transmit buffer: header, payload, seal, tag, counter. RAM: 1.2 kB.
"""Frames are written into `tx.buf` in place:

    o = tx.begin(T_PING, short_id_or_None, link=False)   # offset of the payload
    ... write at tx.buf[o:] ...
    tx.send(end, addr)                                   # seals, tags, counts, sends

`link=True` tags with the node key of the link to `peer`. `cookie` (8 bytes) goes first.
"""

from .counters import C_TX, C_TX_FAIL
from .seal import seal
from .wire import (
    ALL,
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
    put30,
)


class Sender:
    def __init__(self, link, keys, counters, net: bytes, short_id: bytes, epoch: int = 1):
        self.buf = bytearray(MAX_FRAME)
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

    def begin(self, kind: int, peer, link: bool = False, sealed: bool = False, cookie=None) -> int:
        """Start a frame; `peer`: a short id, ALL or None (whoever). Returns the payload offset."""
        b = self.buf
        self.counter += 1
        b[1] = kind
        b[2] = (F_LINK if link else 0) | (F_SEALED if sealed else 0) | (F_COOKIE if cookie else 0)
        b[3] = 0 if link else self.keys.number
        if peer is None:
            b[16:20] = ANYONE
        elif peer is ALL:
            b[16:20] = ALL
        else:
            for i in range(4):
                b[16 + i] = peer[i]
        put30(b, 20, self.epoch)
        put30(b, 24, self.counter)
        self._peer = peer
        if cookie:
            b[HEAD : HEAD + COOKIE_LEN] = cookie
            self._clear = HEAD + COOKIE_LEN + clear_len(kind)
            return HEAD + COOKIE_LEN
        self._clear = HEAD + clear_len(kind)
        return HEAD

    def close(self, end: int) -> int:
        """Seal and tag what was written; returns the frame's length, 0 without a key."""
        b = self.buf
        f = b[2]
        if f & F_SEALED:
            k = self.keys.link_seal(self._peer)
            if k is None:
                return 0
            seal(k, b, 0, self._clear, end)
        mac = self.keys.link(self._peer) if f & F_LINK else self.keys.group(self.keys.number)
        if mac is None:
            return 0
        t = mac.tag(self.view[:end])
        for i in range(TAG):
            b[end + i] = t[i]
        return end + TAG

    def send(self, end: int, addr: bytes) -> bool:
        n = self.close(end)
        if n and self._link.send(self.buf, n, addr):
            self._count.inc(C_TX)
            return True
        self._count.inc(C_TX_FAIL)
        return False

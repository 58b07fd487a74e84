# floor 8: effects
# What a node keeps over a deep sleep, in RTC memory and one small file. RAM: 0.3 kB.
"""A wake-up writes no flash: the boot epoch stays, and the counter of frames goes on where it was.

    nap = take(rtc)      what was kept, or None; it can be taken once
    nap.keep(rtc)        right before machine.deepsleep()
    record(), keep_record(record)      the record as it was signed last, in /record

`take` erases what it returns. So a counter is never used twice: whatever ends a wake-up otherwise
(a crash, the watchdog, an application's own deep sleep) leaves nothing, and the next start counts
the epoch up, as every start does. The file is written when the record has changed.

    RTC memory: 1088 magic "S1", 1090 epoch 4, 1094 counter of frames 4, 1098 of the record 4,
    1102 number of the last hello 1, 1103 wake-ups without a word of the parent 1, 1104 parent's
    short id 8, 1112 its endpoint 6, 1118 wake-ups without an upstream 2, 1120 wake-ups 4, 1124
    mails that came 16, 1140 queue id's first 4, 1144 sequence before which all of it is stored
    upstream 4, 1148 CRC-32, to 1151
"""

import os
from binascii import crc32

from l4mesh.compat import const

_AT = const(1088)
_BODY = const(60)
_SIZE = const(64)
_TOP = const(0x20000000)  # a counter beyond this begins a new epoch
_FILE = "/record"
_RECORD = const(136)


def _crc(b):
    return (crc32(b) & 0xFFFFFFFF).to_bytes(4, "big")


def _int(b, o, n):
    return int.from_bytes(b[o : o + n], "big")


class Nap:
    def __init__(self, epoch, counter, signed):
        """`signed`: counter of the record."""
        self.epoch = epoch
        self.counter = counter
        self.signed = signed
        self.number = 0
        self.parent = None  # short id
        self.addr = bytes(6)
        self.silent = 0  # wake-ups in a row without a word of it
        self.failed = 0  # wake-ups in a row without an upstream
        self.wakes = 0
        self.mails = b""  # 4 bytes of each of the last four
        self.queue = bytes(4)
        self.stored = 0

    def keep(self, rtc) -> bool:
        """False: not kept, the next start will be one like any other."""
        if not 0 < self.counter < _TOP:
            return False
        b = b"S1" + self.epoch.to_bytes(4, "big") + self.counter.to_bytes(4, "big")
        b += self.signed.to_bytes(4, "big") + bytes((self.number, min(self.silent, 255)))
        b += (self.parent or bytes(8)) + self.addr
        b += min(self.failed, 65535).to_bytes(2, "big")
        mails = self.mails[-16:]
        b += (self.wakes & 0x3FFFFFFF).to_bytes(4, "big") + bytes(16 - len(mails)) + mails
        b += self.queue + self.stored.to_bytes(4, "big")
        _write(rtc, b + _crc(b))
        return True


def _write(rtc, b):
    m = rtc.memory()
    m = m + bytes(max(0, _AT + _SIZE - len(m)))
    rtc.memory(m[:_AT] + b + m[_AT + _SIZE :])


def take(rtc):
    b = rtc.memory()[_AT : _AT + _SIZE]
    if len(b) != _SIZE or b[:2] != b"S1" or b[_BODY:] != _crc(b[:_BODY]):
        return None
    _write(rtc, bytes(_SIZE))
    nap = Nap(_int(b, 2, 4), _int(b, 6, 4), _int(b, 10, 4))
    if not 0 < nap.counter < _TOP or nap.epoch >= 1 << 30 or nap.signed >= 1 << 30:
        return None
    nap.number = b[14] & 15
    nap.silent = b[15]
    if b[16:24] != bytes(8):
        nap.parent = b[16:24]
        nap.addr = b[24:30]
    nap.failed = _int(b, 30, 2)
    nap.wakes = _int(b, 32, 4)
    nap.mails = b[36:52]
    while nap.mails and nap.mails[:4] == bytes(4):
        nap.mails = nap.mails[4:]
    nap.queue = b[52:56]
    nap.stored = _int(b, 56, 4)
    return nap


def record(name=_FILE):
    """The record that was kept, or None."""
    try:
        with open(name, "rb") as f:
            b = f.read(200)
    except OSError:
        return None
    return b[:_RECORD] if len(b) == _RECORD + 4 and b[_RECORD:] == _crc(b[:_RECORD]) else None


def keep_record(b, name=_FILE) -> bool:
    """Write it, if it is another one. False: flash refuses."""
    b = bytes(b)
    if record(name) == b:
        return True
    try:
        with open(name + ".tmp", "wb") as f:
            f.write(b + _crc(b))
        os.rename(name + ".tmp", name)
        return True
    except OSError:
        return False

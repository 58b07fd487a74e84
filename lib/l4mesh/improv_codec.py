# floor 3: codecs
# Improv WiFi's bytes: serial packets, Bluetooth commands. RAM: 3 KiB, only while loaded.
"""The formats of https://www.improv-wifi.com (serial and BLE, version 1 of the packets).

    packet on a serial line   "IMPROV" 1 type length data sum
    command or result in it   command length data
    the same over Bluetooth   command length data sum

`sum` is the low byte of the sum of all bytes before it, the length counts `data` alone. The data
of a result is a list of strings, each with its length in front; that of W_WIFI name and password.

    Packets().push(byte, now) -> NOT_OURS, PART, DONE or BAD      serial, byte by byte
    Written().push(data, now) -> PART, DONE or BAD                Bluetooth, in pieces of 20 bytes

After DONE `command` and `data` hold what came. A packet whose next byte does not come within half
a second is forgotten, so that what a person types is never taken for the rest of it. Whatever
comes, nothing is raised. `now`: ms modulo 2**30.
"""

from . import ticks
from .compat import const

T_STATE = 1  # types of serial packets
T_ERROR = 2
T_COMMAND = 3
T_RESULT = 4

W_WIFI = 1  # commands
W_STATE = 2  # serial; over Bluetooth: identify
W_INFO = 3
W_SCAN = 4
W_HOSTNAME = 5
W_NAME = 6

NOT_OURS = const(0)
PART = const(1)
DONE = const(2)
BAD = const(3)

_HEAD = b"IMPROV\x01"
_GAP_MS = const(500)


def packet(kind, data):
    """A serial packet. It starts at the beginning of a line, as clients expect."""
    b = _HEAD + bytes((kind, len(data))) + data
    return b + bytes((sum(b) & 255,))


def summed(data):
    """A command or result as it goes over Bluetooth."""
    return data + bytes((sum(data) & 255,))


def result(command, strings):
    """A result: `strings` is a list of bytes; those beyond the 253 that fit are left out."""
    data = b""
    for s in strings:
        if len(data) + 1 + len(s) > 253:
            break
        data += bytes((len(s),)) + s
    return bytes((command, len(data))) + data


def advert(state, capabilities):
    """The advertisement, 31 bytes: flags, service UUID (little endian), service data 4677."""
    uuid = b"\x00\x80\x26\x78\x74\x27\x63\x46\x72\x22\x28\x62\x68\x77\x46\x00"
    data = bytes((state, capabilities, 0, 0, 0, 0))
    return b"\x02\x01\x06\x11\x07" + uuid + b"\x09\x16\x77\x46" + data


def credentials(data):
    """(name, password) out of the data of W_WIFI, as text; None when it is malformed."""
    n = len(data)
    if n < 2 or data[0] + 2 > n or data[0] + 2 + data[data[0] + 1] != n:
        return None
    k = data[0] + 1
    try:
        return str(bytes(data[1:k]), "utf-8"), str(bytes(data[k + 1 :]), "utf-8")
    except UnicodeError:
        return None


def _fill(rest, lost):
    """(command, data, sum, bytes used) if the bytes 3 that the bits of `lost` name are missing."""
    at = 0
    got = []
    for i in range(3):  # length, command, length of the data
        if lost >> i & 1:
            got.append(3)
        else:
            got.append(rest[at])
            at += 1
    n, command, m = got
    if n != m + 2:
        return None
    data = bytes(rest[at : at + m])
    if command == W_WIFI:
        data = b""
        for i in (3, 4):  # length of the name, of the password
            k = 3
            if not lost >> i & 1:
                k = rest[at]
                at += 1
            data += bytes((k,)) + bytes(rest[at : at + k])
            at += k
    else:
        at += m
    if len(data) != m:
        return None
    return command, data, packet(T_COMMAND, bytes((command, m)) + data)[-1], at


def mend(rest):
    """(command, data) of a packet that lost every byte 3, its type among them; None: it is none.

    `rest` is what is left of it after the head. In a command a 3 can only be a length, the command
    or the sum, which leaves 64 ways to fill the gaps.
    """
    for lost in range(64):
        try:
            found = _fill(rest, lost & 31)
            if found:
                command, data, total, at = found
                if not lost >> 5:
                    at += 1
                    total -= rest[at - 1] - 3
                if total == 3 and rest[at : at + 1] in (b"", b"\n"):
                    return command, data
        except (IndexError, ValueError):
            continue  # too short for that
    return None


class Packets:
    """Finds packets in what comes over a serial line. `begun`: bytes of the head already seen."""

    def __init__(self, begun=0):
        self._buf = bytearray(265)
        self._buf[: len(_HEAD)] = _HEAD
        self._n = begun
        self._last = None
        self.command = 0
        self.data = b""

    def push(self, b, now):
        """Take one byte. NOT_OURS: it belongs to no packet; BAD: a packet that says nothing."""
        if self._n and self._last is not None and ticks.diff(now, self._last) > _GAP_MS:
            self._n = 0
        self._last = now
        n = self._n
        if n < 7:
            if b != _HEAD[n]:
                self._n = b == _HEAD[0]
                return PART if self._n else NOT_OURS
        else:
            self._buf[n] = b
        self._n = n = n + 1
        if n < 10 or n < 10 + self._buf[8]:
            return PART
        self._n = 0
        return self._whole(n)

    def _whole(self, n):
        b = self._buf
        if sum(memoryview(b)[: n - 1]) & 255 != b[n - 1] or b[7] != T_COMMAND:
            return BAD
        if b[8] < 2 or b[10] != b[8] - 2:
            return BAD
        self.command = b[9]
        self.data = bytes(memoryview(b)[11 : n - 1])
        return DONE


class Written:
    """Puts together what a client writes over Bluetooth."""

    def __init__(self):
        self._got = b""
        self._last = 0
        self.command = 0
        self.data = b""

    def push(self, data, now):
        """Take what was written. BAD: the sum is wrong, or more came than was announced."""
        if self._got and ticks.diff(now, self._last) > _GAP_MS * 4:
            self._got = b""
        self._last = now
        got = self._got + data
        self._got = b""
        n = len(got)
        if n < 3 or n < got[1] + 3:
            self._got = got
            return PART
        if n > got[1] + 3 or sum(got[:-1]) & 255 != got[-1]:
            return BAD
        self.command = got[0]
        self.data = got[2:-1]
        return DONE

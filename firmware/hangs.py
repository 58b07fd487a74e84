# floor 8: effects
# Finds the sensor that hangs the board. RAM: 2 kB until each sensor was read a few times.
"""A read that never returns ends in a reset by the watchdog. The sensor that was being read then
is left out: for 10 minutes, after the next hang 20, up to a day. All others go on.

Hangs(rtc, bitten, names)   rtc: machine.RTC(); bitten: the watchdog made this start
hung                        a sentence for the console, or None
begin(i, now) -> ms         sensor i is about to be read; not 0: not now, in so many ms
end(i) -> bool              it came back; True: nothing is left to watch, forget this object
why()                       [sentence]

RTC().memory() of an ESP32 copies its 2 KiB at each call: 8 KB of garbage for a mark that is set
and taken away. So marks are made at the first two reads of each sensor after a start, and at all
of them once the watchdog has bitten since power-on. Hence a sensor that begins to hang later costs
two resets. The first 24 sensors are watched. A coroutine is watched up to its first await.

    RTC memory: 1056 "S", 1057 level + 128 when all reads are marked, 1058 the sensors left out,
    a bit each 3, 1061 the one being read, 1 the first, 0 none, 1062 CRC-32 of that and the names,
    low half, to 1063
"""

from binascii import crc32

from l4mesh import ticks
from l4mesh.compat import const

_AT = const(1056)
_END = const(1064)
_FIRST = const(2)  # reads
_MOST = const(24)
_ALL = const(128)
_PAUSE_MS = const(600000)
_DAY_MS = const(86400000)


class Hangs:
    def __init__(self, rtc, bitten, names):
        self._rtc = rtc
        self._names = names
        self._salt = "\n".join(names).encode()
        self._n = min(len(names), _MOST)
        self._reads = bytearray(self._n)
        self._until = {}  # sensor -> tick
        self._level = self._mask = self._flags = 0
        self.hung = None
        at = self._load()
        if bitten:
            self._flags = _ALL
            if at:
                self._mask |= 1 << (at - 1)
                self._level = min(self._level + 1, 15)
                self.hung = "sensor %s hung the board: it is left out for %d min" % (
                    names[at - 1], self._pause() // 60000,
                )  # fmt: skip
        if bitten or at:
            self._save(0)

    def _load(self):
        """The number that was being read."""
        m = self._rtc.memory()[_AT:_END]
        if len(m) < 8 or m[0] != 83 or self._crc(m[:6]) != m[6:8]:
            return 0
        self._flags = m[1] & _ALL
        self._level = m[1] & 15
        self._mask = m[2] << 16 | m[3] << 8 | m[4]
        return m[5] if m[5] <= self._n else 0

    def _crc(self, head):
        return (crc32(head + self._salt) & 0xFFFF).to_bytes(2, "big")

    def _save(self, at):
        try:
            k = self._mask
            head = bytes((83, self._flags | self._level, k >> 16, k >> 8 & 255, k & 255, at))
            m = self._rtc.memory()
            m = m + bytes(max(0, _END - len(m)))
            self._rtc.memory(b"".join((m[:_AT], head, self._crc(head), m[_END:])))
        except MemoryError:
            pass  # unmarked, this time

    def _pause(self):
        return min(_PAUSE_MS << (self._level - 1), _DAY_MS)

    def _marked(self, i):
        return i < self._n and (self._flags or self._mask or self._reads[i] < _FIRST)

    def begin(self, i, now):
        if i < self._n and self._mask >> i & 1:
            until = self._until.setdefault(i, ticks.add(now, self._pause()))
            left = ticks.diff(until, now)
            if left > 0:
                return left
        if self._marked(i):
            self._save(i + 1)
        return 0

    def end(self, i):
        if self._marked(i):
            self._reads[i] = min(self._reads[i] + 1, _FIRST)
            if self._mask >> i & 1:
                self._mask &= ~(1 << i)
                self._until.pop(i)
            if not self._mask:
                self._level = 0
            self._save(0)
        return not self._flags and not self._mask and min(self._reads) >= _FIRST

    def why(self):
        return [
            "%s is left out for up to %d min: it hung the board" % (
                self._names[i], self._pause() // 60000)
            for i in range(self._n) if self._mask >> i & 1
        ]  # fmt: skip

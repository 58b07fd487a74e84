# floor 9: links
# Stamps for readings of a board that was not told the time yet. RAM: 1.5 kB of code.
"""A run of the clock: from a loss of power to the next, over all resets and deep sleep between
them. Its number is random, so readings of two runs are never mixed up; when the time gets known, a
mark says when the run began, and every reading of it has its time, the earlier ones too.

    ClockRun(rtc, entropy, slept)  rtc: machine.RTC() or None; slept: this start ends a deep sleep
    stamp()                 (6 bytes, known, error s); not known: run number 2, ms since its begin
    told(ms6, bound_s)      somebody said the time: False if these are no time (clock.set_wall)
    mark() -> text or None  `#clock <run, hex> <its begin, ms since 1970> <error, ms>`: to be
    marked()                queued once; marked() says that it was

The chip's clock runs on over a reset; during deep sleep by the RC oscillator, up to 6 % off, which
goes into the error. RTC memory tells a run that goes on from a new one; the newest stamp is
kept there, so a clock that was set back begins a new run. Without RTC memory each boot is one.

    RTC memory: 1064 magic "C1", 1066 run 2, 1068 flags 1 (1 stamps were made, 2 the time is known,
    4 a mark is due), 1069 begin of the run on the chip's clock 6, 1075 newest stamp 6,
    1081 error in s 2, 1083 CRC-32, to 1086
"""

from binascii import crc32, hexlify

from l4mesh.compat import const

from l4mesh_io import clock

_AT = const(1064)
_SIZE = const(23)
_USED = const(1)
_SET = const(2)
_OWED = const(4)


def _int(m, o, n):
    return int.from_bytes(m[o : o + n], "big")


class ClockRun:
    def __init__(self, rtc, entropy, slept=False):
        self._rtc = rtc
        self._entropy = entropy
        self._mark = None
        now = clock.raw_ms()
        m = b""
        if rtc is not None:
            m = rtc.memory()[_AT : _AT + _SIZE]
        good = len(m) == _SIZE and m[:2] == b"C1" and crc32(m[:19]) & 0xFFFFFFFF == _int(m, 19, 4)
        if good:
            self.id = m[2:4]
            self._flags = m[4]
            self._base = _int(m, 5, 6)
            last = _int(m, 11, 6)
            self._error = _int(m, 17, 2)
            self._due()
            if now >= last:
                self._goes_on(now - last, slept)
                return
        self._begin(now)

    def _goes_on(self, ms, slept):
        """`ms` since the newest stamp, or since the time was told."""
        more = ms // 1000 >> (4 if slept else 14)
        if slept:
            self._error = min(self._error + more, 65534)
        if self._flags & _SET:
            clock.set_error(self._error + (0 if slept else more))
        self._save()

    def _begin(self, now):
        self.id = self._entropy(2)
        while self.id == b"\0\0":
            self.id = self._entropy(2)
        self._flags = 0
        self._base = now
        self._error = 0
        self._save()

    def _save(self):
        """The newest stamp is now."""
        if self._rtc is None:
            return
        head = b"C1" + self.id + bytes((self._flags,)) + self._base.to_bytes(6, "big")
        head += clock.raw_ms().to_bytes(6, "big") + self._error.to_bytes(2, "big")
        head += (crc32(head) & 0xFFFFFFFF).to_bytes(4, "big")
        m = self._rtc.memory()
        m = m + bytes(max(0, _AT + _SIZE - len(m)))
        self._rtc.memory(m[:_AT] + head + m[_AT + _SIZE :])

    def _due(self):
        if self._flags & _OWED:
            self._mark = "#clock %s %d %d" % (
                hexlify(self.id).decode(), self._base, self._error * 1000,
            )  # fmt: skip

    def stamp(self):
        t = clock.wall_ms6()
        if t is not None:
            return t, True, clock.error_s()
        ms = clock.raw_ms() - self._base
        if not 0 <= ms < 1 << 32:
            self._begin(clock.raw_ms())
            ms = 0
        self._flags |= _USED
        self._save()
        return self.id + ms.to_bytes(4, "big"), False, 0

    def told(self, ms6, bound_s=1):
        ms = clock.raw_ms() - self._base
        if not clock.set_wall(ms6, bound_s):
            return False
        first = not self._flags & _SET
        # Told again (better): the begin is what it was first taken for, and the mark stands.
        self._base = int.from_bytes(ms6, "big") - ms
        # What the crystal drifted since the begin (61 ppm), and the oscillator in deep sleeps.
        self._error = min((self._error if first else 0) + bound_s + (ms // 1000 >> 14), 65534)
        if first and self._flags & _USED:
            self._flags |= _OWED
        self._flags |= _SET
        self._due()
        self._save()
        return True

    def mark(self):
        return self._mark

    def marked(self):
        self._mark = None
        self._flags &= ~_OWED
        self._save()

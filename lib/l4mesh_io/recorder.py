# floor 8: effects
# The flight recorder: the last events, in memory that a crash leaves alone. RAM: 0.2 kB.
"""A log of the newest 1 KB of events in RTC memory, which survives exceptions, the watchdog, all
resets and deep sleep, and holds garbage after a loss of power (hence magic and CRC).

add(code, text)   an event; written at once, in a burst once a second
trace(e)          an exception with the end of its traceback; written at once
flush()           write what waits; before a reset
poll(now) -> ms   a job of the runner, for what waits
read(rtc)         (boot, number of the next entry, entries) or None when there is no log
log()             the same of the log under way

RTC().memory() of an ESP32 copies all 2 KiB at each call, to read or to write, into a new object
or out of one. So what is new waits in a few bytes of RAM, and a write makes 5 KB of garbage at
most once a second; keeping a second copy of the log in RAM would cost 1 KB for good. Without RTC
memory nothing is kept. Saving to flash is crashlog.py.

    RTC memory: 16 magic "L4R1", 20 CRC-32 of what follows, 24 boot 2, 26 number of the next entry
    2, 28 length 2, 30 zero 2, 32 entries, oldest first; 1040 belongs to others
    entry: length of the rest 1, boot (low byte) 1, code 1, minute since boot 2, ms in it 2, text
"""

from binascii import crc32

from l4mesh.compat import const

E_LINE = const(1)  # a line of the console
E_BOOT = const(2)  # a start: its cause
E_PLANNED = const(3)  # somebody meant to end it
E_TRACE = const(4)  # an exception

_AT = const(16)
_END = const(1040)
_BODY = const(16)  # of the log's header
_ROOM = const(1008)
_TEXT = const(120)
_TRACE = const(240)
_GAP_MS = const(1000)
_HOLD = const(400)  # what may wait
_MASK = const(0x3FFFFFFF)

_rtc = None
_now = None
_boot = 0
_wait = []
_written = 0  # when
_minute = 0
_base = 0  # the tick at which _minute began


def read(rtc):
    """(boot, number of the next entry, entries) as RTC memory has them, None: garbage."""
    m = rtc.memory()
    o = _AT
    if len(m) < o + _BODY or m[o : o + 4] != b"L4R1":
        return None
    n = m[o + 12] << 8 | m[o + 13]
    if n > _ROOM or o + _BODY + n > len(m):
        return None
    if crc32(m[o + 8 : o + _BODY + n]) & 0xFFFFFFFF != int.from_bytes(m[o + 4 : o + 8], "big"):
        return None
    return m[o + 8] << 8 | m[o + 9], m[o + 10] << 8 | m[o + 11], m[o + _BODY : o + _BODY + n]


def begin(rtc, boot, now):
    """Record in `rtc` (machine.RTC()) from now on, as boot number `boot`; `now()`: ms ticks."""
    global _rtc, _now, _boot, _base, _minute, _written
    _rtc = rtc
    _now = now
    _boot = boot & 0xFFFF
    _base = now()
    _written = (_base - _GAP_MS) & _MASK
    _minute = 0
    _wait.clear()


def since_boot():
    """(minutes, ms) since begin(); minutes stop at 65535."""
    global _base, _minute
    now = _now()
    while (now - _base) & _MASK >= 60000:
        _base = (_base + 60000) & _MASK
        if _minute < 65535:
            _minute += 1
    return _minute, (now - _base) & _MASK


def add(code, text, most=_TEXT):
    """Record an event."""
    if _rtc is None:
        return
    t = text.encode()[:most]
    minute, ms = since_boot()
    head = bytes((len(t) + 6, _boot & 255, code, minute >> 8, minute & 255, ms >> 8, ms & 255))
    _wait.append(head + t)
    if (_now() - _written) & _MASK >= _GAP_MS or sum([len(x) for x in _wait]) > _HOLD:
        flush()


def trace(e):
    """Record an exception: the end of its traceback, the place where it was raised last."""
    try:
        import io
        import sys

        f = io.StringIO()
        sys.print_exception(e, f)
        lines = [x.strip() for x in f.getvalue().split("\n") if x.strip()]
        text = "\n".join(lines[-5:]) if len(lines) > 5 else "\n".join(lines[1:])
        add(E_TRACE, text[-_TRACE:] or repr(e), _TRACE)
    except Exception:  # no room for a traceback, or no MicroPython
        add(E_TRACE, repr(e), _TRACE)
    flush()


def flush():
    """Write what waits to RTC memory. Without room for it, it waits on."""
    global _written
    if _rtc is None or not _wait:
        return
    try:
        old = read(_rtc)
        n, data = (old[1], old[2]) if old else (0, b"")
        data += b"".join(_wait)
        o = 0
        while len(data) - o > _ROOM:
            o += 1 + data[o]
        data = data[o:]
        n += len(_wait)
        body = bytes((_boot >> 8, _boot & 255, n >> 8 & 255, n & 255, len(data) >> 8,
                      len(data) & 255, 0, 0)) + data  # fmt: skip
        m = _rtc.memory()
        head = m[:_AT] + bytes(max(0, _AT - len(m))) + b"L4R1"
        crc = (crc32(body) & 0xFFFFFFFF).to_bytes(4, "big")
        _rtc.memory(b"".join((head, crc, body, bytes(_ROOM - len(data)), m[_END:])))
        _wait.clear()
    except Exception:  # MemoryError: the log is not worth the node
        if len(_wait) > 8:
            _wait.clear()
    _written = _now()


def log():
    """The log as read() gives it, with what waited; None without one."""
    flush()
    return read(_rtc) if _rtc is not None else None


def poll(now):
    """ms until it wants to be called again."""
    if _rtc is None:
        return 60000
    since_boot()
    flush()
    return _GAP_MS

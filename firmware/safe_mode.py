# floor 8: effects
# Notices a boot loop and says when to start without the application. RAM: none.
"""Five boots in a row that did not end well make the next one safe mode: WiFi, REPL and hello
only, so that the board can be reached and mended.

begin() -> bool      count this boot; True = safe mode. Asked again it says the same.
mark_good()          after 60 s of health: the count starts anew
planned_reset()      before machine.reset() on purpose (update, configuration): does not count
was_planned() -> bool   did the boot before end by a planned_reset()?
reason() -> str      one sentence for the console and for status

The count lives in RTC memory, which keeps everything but a loss of power (and holds garbage after
one, hence magic and CRC). A loss of power starts it anew. Soft resets (Ctrl-D, mpremote) and
waking from deep sleep do not count. Entering safe mode sets the count to 3, in NVS too (for a
reset that loses RTC memory): so the boot after it tries the application again, twice.

    RTC memory: 0 magic "L4B", 3 count, 4 planned, 5 CRC-32 of 0..5, 9 belongs to others
"""

import binascii

_LIMIT = 5
_RETRY = 3
_SIZE = 9
_PWRON = 1  # machine.reset_cause() on ESP32
_NOT_COUNTED = (4, 5)  # deep sleep, soft reset

_answer = None
_count = 0
_planned = 0


def _crc(m):
    return (binascii.crc32(m[:5]) & 0xFFFFFFFF).to_bytes(4, "big")


def _save(machine, count, planned=0):
    global _count
    _count = count
    try:
        rtc = (machine or __import__("machine")).RTC()
        head = b"L4B" + bytes((count, planned))
        rtc.memory(head + _crc(head) + rtc.memory()[_SIZE:])
    except Exception:
        pass  # no RTC memory, no count


def _mirror(esp32, count):
    """The count in NVS as it was, 0 if none; it becomes `count` unless that is None."""
    old = 0
    try:
        nvs = (esp32 or __import__("esp32")).NVS("l4")
        try:
            old = nvs.get_i32("boots")
        except OSError:
            pass  # never written
        if count is not None and count != old:
            nvs.set_i32("boots", count)
            nvs.commit()
    except Exception:
        pass  # not an ESP32
    return old


def begin(machine=None, esp32=None):
    """Count this boot. True: five in a row went wrong, start in safe mode."""
    global _answer, _planned
    if _answer is None:
        _answer = False
        try:
            machine = machine or __import__("machine")
            m = machine.RTC().memory()
            cause = machine.reset_cause()
        except Exception:
            return False  # no RTC memory here: no loop can be seen
        if m[:3] == b"L4B" and m[5:_SIZE] == _crc(m):
            count = m[3]
            _planned = m[4]
            if not m[4] and cause not in _NOT_COUNTED:
                count += 1
        else:
            count = 0 if cause == _PWRON else _mirror(esp32, None)
        if count >= _LIMIT:
            _answer = True
            count = _RETRY
            _mirror(esp32, count)
        _save(machine, count)
    return _answer


def mark_good(machine=None, esp32=None):
    """This boot is fine: forget the ones before."""
    if _count:
        _mirror(esp32, 0)
    _save(machine, 0)


def planned_reset(machine=None):
    """The reset that follows is meant: keep the count as it is."""
    _save(machine, _count, 1)


def was_planned():
    """Was the reset before this boot meant?"""
    return _planned != 0


def reason():
    """Why it starts as it does."""
    if _answer:
        return "Safe mode after %d bad boots: mend app.py or config.json, then reset." % _LIMIT
    return "Normal start, %d bad boots before it." % _count

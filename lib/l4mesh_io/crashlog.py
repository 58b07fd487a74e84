# floor 9: links
# Keeps on flash what led to a crash, out of the flight recorder. RAM: none, unloaded after.
"""begin(planned)      at each start: opens the recorder. When nobody meant the boot before to end,
                    its log goes to flash first: /log/crash.N, the newest four kept
crashes()           numbers of the crash files

A boot's end is written to flash once, by the boot after it, and not at all when it was planned: by
safe_mode.planned_reset(), Ctrl-C, a soft reset or deep sleep. RTC memory survives the time
between; only a loss of power there costs the newest crash.

    crash file: "L4C1", boot 2, cause of the reset that ended it 1, 0, entries (recorder.py)
"""

import os

from l4mesh.compat import const

from l4mesh_io import clock, recorder

_KEPT = const(4)
_CLEAN = (4, 5)  # causes: deep sleep, soft reset
_CAUSES = ("unknown", "power", "reset", "watchdog", "deep sleep", "soft reset")


def begin(planned, machine=None, folder="/log"):
    """Start recording. Returns a sentence when the boot before ended badly, else None."""
    try:
        machine = machine or __import__("machine")
        rtc = machine.RTC()
        cause = machine.reset_cause()
        old = recorder.read(rtc)
    except Exception:
        return None  # no RTC memory here: nothing to record in
    why = _CAUSES[cause] if 0 <= cause < len(_CAUSES) else _CAUSES[0]
    said = None
    boot = 0
    if old:
        boot = old[0]
        if not planned and cause not in _CLEAN and _last(old[2]) != recorder.E_PLANNED:
            name = _save(folder, old, cause)
            said = "the boot before ended by %s; %s" % (
                why,
                "kept as " + name if name else "its log could not be kept",
            )
    recorder.begin(rtc, boot + 1, clock.now)
    recorder.add(recorder.E_BOOT, "boot %d after %s" % ((boot + 1) & 0xFFFF, why))
    return said


def _last(data):
    """Code of the newest entry, 0 when there is none."""
    o = code = 0
    while o + 2 < len(data):
        code = data[o + 2]
        o += 1 + data[o]
    return code


def crashes(folder="/log"):
    """Numbers of the crash files, ascending."""
    found = []
    try:
        for name in os.listdir(folder):
            if name[:6] == "crash." and name[6:].isdigit():
                found.append(int(name[6:]))
    except OSError:
        pass  # no folder: none
    found.sort()
    return found


def _save(folder, old, cause):
    """The name of the new file, "" when flash did not take it."""
    try:
        os.mkdir(folder)
    except OSError:
        pass  # it is there
    known = crashes(folder)
    name = "%s/crash.%d" % (folder, known[-1] + 1 if known else 1)
    aside = folder + "/new"
    try:
        with open(aside, "wb") as f:
            f.write(b"L4C1" + bytes((old[0] >> 8, old[0] & 255, cause & 255, 0)) + old[2])
        os.rename(aside, name)
        for no in known[: 1 - _KEPT] if len(known) >= _KEPT else ():
            os.remove("%s/crash.%d" % (folder, no))
    except OSError:
        return ""
    return name

# floor 9: links
# Pages of the flight recorder's log and of crash files. RAM: 1.5 kB, once asked for.
"""page(since, room)   what is recorded now, from entry number `since` on (65536: all)
crash(no, at, room) crash file number `no` (crashlog.py) from byte `at` on

    page: number of its first entry 2, of the next to come 2, boot 2, minute 2, ms 2, entries
"""

from l4mesh_io import recorder


def page(since, room):
    """What is recorded from entry number `since` on (65536: all), at most `room` bytes."""
    boot, after, data = recorder.log() or (0, 0, b"")
    ends = []
    o = 0
    while o < len(data):
        ends.append(o)
        o += 1 + data[o]
    skip = len(ends) - ((after - since) & 0xFFFF)
    if since > 0xFFFF or skip < 0:
        skip = 0
    ends.append(o)
    first = last = skip
    room += ends[first] - 10
    while last + 1 < len(ends) and ends[last + 1] <= room:
        last += 1
    number = (after - len(ends) + 1 + first) & 0xFFFF
    minute, ms = recorder.since_boot() if boot else (0, 0)
    head = b"".join([x.to_bytes(2, "big") for x in (number, after, boot, minute, ms)])
    return head + data[ends[first] : ends[last]]


def crash(no, at, room, folder="/log"):
    """(length in all, the part from `at` on) of crash file `no`; (0, b"") when it is not there."""
    try:
        with open("%s/crash.%d" % (folder, no), "rb") as f:
            data = f.read()
    except OSError:
        return 0, b""
    return len(data), data[at : at + room]

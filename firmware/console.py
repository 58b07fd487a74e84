# floor 9: firmware
# What the node tells, as lines for people (and for `l4 mesh`, which reads them). RAM: none.
"""One line an event, all starting with `L4 `, to be told from what an application prints. The
flight recorder has them too, but for what comes with every reading.
"""

import sys

from l4mesh.endpoint import format_endpoint, id_text
from l4mesh.events import (
    EV_ACKED,
    EV_GONE,
    EV_JOINED,
    EV_LEFT,
    EV_MODE,
    EV_NEARBY,
    EV_NEIGHBOUR,
    EV_REFUSED,
    EV_UPSTREAM,
)
from l4mesh_io import recorder

_REFUSED = ("", "an older record", "its key or signature is wrong", "")


def line(e):
    """Text for an event, or None for those that concern nobody but the application."""
    kind = e[0]
    if kind == EV_JOINED:
        return "joined by tier %d after %d ms" % (e[1], e[2])
    if kind == EV_NEIGHBOUR:
        where = "by Bluetooth" if e[2][:2] == b"\0\2" else "at " + format_endpoint(e[2])
        return "neighbour %s %s" % (id_text(e[1][:4]), where)
    if kind == EV_GONE:
        return "neighbour %s is gone" % id_text(e[1][:4])
    if kind == EV_NEARBY:
        if not e[1]:
            return "%s is out of reach of Bluetooth" % id_text(e[2][:4])
        return "%s is near by Bluetooth, %d dBm" % (id_text(e[2][:4]), e[4])
    if kind == EV_MODE:
        return "mode %s -> %s: %s is %s, threshold %s, judged again in %d s" % (
            e[1], e[2], e[3], e[4], e[5], e[6] // 1000,
        )  # fmt: skip
    if kind == EV_UPSTREAM:
        if e[1]:
            return "upstream is there, nearest tier %d" % e[2]
        return "upstream is silent; neighbours are still served, readings are kept"
    if kind == EV_ACKED:
        return "%d reading%s stored upstream" % (e[1], "" if e[1] == 1 else "s")
    if kind == EV_LEFT:
        return "registration ran out; trying again"
    if kind == EV_REFUSED:
        return "tier %d refused this node: %s" % (e[2], _REFUSED[e[1] & 3])
    return None


def say(text):
    print("L4 " + text)
    recorder.add(recorder.E_LINE, text)


def fault(text, e):
    """The user's code raised `e`; where, unless that is the hardware's word."""
    say(text)
    if not isinstance(e, OSError):
        sys.print_exception(e)


def tell(e):
    text = line(e)
    if e[0] == EV_ACKED:
        print("L4 " + text)
    elif text is not None:
        say(text)

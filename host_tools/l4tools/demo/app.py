# The demo's app.py: two sensors and a battery, and look-ups that are typed at the console.
"""Sensors as in firmware/app.py, plus a small console: one command a line, one line an answer.

    look ID [ID ..]     L4 look ID STATUS SOURCE MICROSECONDS
    quiet               the sensors take no more readings
    stat                L4 stat {json}: heap, the node's own time, queue, counters
    info TOPIC          L4 info {json}: what INFO would say (1 status, 3 neighbours, 7 nearby)
    year                L4 year YYYY: the board's own date

`loop`, `event` and `typed` are optional hooks of an app.py: a function called when it wants to be,
one that sees the node's events, and one that gets each line typed at the console.
"""

import gc
import json
import time
from binascii import hexlify, unhexlify

from dht import DHT22
from l4mesh.events import EV_ANSWER
from l4mesh.resolve import SOURCES
from l4mesh.wire import STATUS_NAMES
from sensors import Sensor

_asked = {}
_todo = []
_peak = 0
_board = None
_quiet = False


def sensors(board):
    global _board
    _board = board
    dht = DHT22(board.machine.Pin(4))

    def temperature():
        dht.measure()
        return None if _quiet else dht.temperature()

    def humidity():
        return None if _quiet else dht.humidity()

    def battery():
        return None if _quiet else board.battery()

    return [
        Sensor("temperature", "°C", board.interval_s, temperature),
        Sensor("humidity", "%", board.interval_s, humidity),
        Sensor("battery", "%", 5, battery),
    ]


def loop(node, now):
    global _peak
    used = gc.mem_alloc()
    _peak = used if used > _peak else _peak
    while _todo:
        target = _todo[0]
        t = time.ticks_us()
        if target not in _asked:
            if not node.resolve(target, now):
                break
            _asked[target] = t
        _todo.pop(0)
    return 20


def typed(node, line):
    words = line.decode().split()
    if not words:
        return
    global _quiet
    if words[0] == "quiet":
        _quiet = True
    elif words[0] == "look":
        _todo.extend([unhexlify(w) for w in words[1:]])
    elif words[0] == "stat":
        print("L4 stat " + json.dumps(stat(node)))
    elif words[0] == "year":
        print("L4 year %d" % time.localtime()[0])
    elif words[0] == "info":
        from l4mesh.info import Info

        print("L4 info " + json.dumps(Info(node).document(int(words[1]), time.ticks_ms())))


def stat(node):
    r = _board.runner
    gc.collect()
    return {
        "peak": _peak,
        "live": gc.mem_alloc(),
        "free": gc.mem_free(),
        "own_us": list(r.own_us[: min(r.answered, len(r.own_us))]),
        "answered": r.answered,
        "queue": node.queue.pending,
        "dropped": node.queue.dropped,
        "cache": len(node.routes),
        "counters": dict(node.counters.items()),
    }


def event(node, e):
    if e[0] != EV_ANSWER:
        return
    t = _asked.pop(e[1], None)
    us = -1 if t is None else time.ticks_diff(time.ticks_us(), t)
    source = SOURCES[e[3]] if e[2] <= 1 else ""
    print("L4 look %s %s %s %d" % (hexlify(e[1]).decode(), STATUS_NAMES[e[2]], source or "-", us))

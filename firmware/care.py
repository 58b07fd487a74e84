# floor 10: firmware
# Carries out the owner's orders (l4mesh/orders.py). RAM: 3 kB, once there was an order.
"""identify   the LED blinks 4 times a second, for 10 minutes at most
restart    in half a second, when the answer has gone
log        a page of the flight recorder; crash: the newest crash file
forget     the keys and what was not delivered; the settings stay. Then it starts as a new board

`care.Care(s)` of the supervisor `s`. Loaded with the first order.
"""

import os

import console
import machine
import safe_mode
from l4mesh import ticks
from l4mesh.compat import const
from l4mesh.orders import DO_CRASH, DO_FORGET, DO_IDENTIFY, DO_LOG, DO_RESTART, DONE, NOT_HERE
from l4mesh_io import clock, crashlog, logpage, recorder
from provision import open_store

_BLINK_MS = const(125)
_MOST_S = const(600)
_SOON_MS = const(500)
_KEYS = ("seed", "public", "network", "nodekey", "owner", "group", "epoch")


class Care:
    def __init__(self, s):
        self._s = s
        owner = open_store().load("owner")
        self.owner = owner if owner is not None and len(owner) == 32 else None
        self._blinks = 0
        self._then = None  # what to do
        self._when = 0
        s.runner.add(self.poll)

    def do(self, kind, arg, room):
        if kind == DO_LOG:
            return DONE, 0, logpage.page(arg, room)
        if kind == DO_CRASH:
            n, part = logpage.crash((crashlog.crashes() or [0])[-1], arg, room)
            return DONE, n, part
        if kind == DO_IDENTIFY:
            return self._identify(arg)
        if kind in (DO_RESTART, DO_FORGET):
            queue = self._s.node.queue
            self._then = self._restart if kind == DO_RESTART else self._forget
            self._when = ticks.add(clock.now(), _SOON_MS)
            return DONE, queue.pending if queue is not None else 0, b""
        return NOT_HERE, 0, b""

    def _identify(self, seconds):
        seconds = min(seconds, _MOST_S)
        console.say("identify: it is this board (%d s)" % seconds)
        if self._s.board.led is None:
            return NOT_HERE, 0, b"no led_pin in config.json"
        self._blinks = seconds * 1000 // _BLINK_MS
        return DONE, seconds, b""

    def poll(self, now):
        """Job of the runner: blink, or what was put off until the answer had gone."""
        if self._blinks:
            self._blinks -= 1
            self._s.board.led.value(self._blinks & 1)
        if self._then is not None and ticks.diff(now, self._when) >= 0:
            self._then(now)
        return _BLINK_MS

    def _restart(self, now, why="restart: the owner's order"):
        console.say(why)
        self._s.node.stop(now, 1)
        recorder.add(recorder.E_PLANNED, why)
        recorder.flush()
        safe_mode.planned_reset()
        machine.reset()

    def _forget(self, now):
        wipe()
        self._restart(now, "forget: the keys are gone, by the owner's order")


def wipe():
    """Without its keys, its identity and what it did not deliver, a board is as new."""
    from esp32 import NVS

    nvs = NVS("l4mesh")
    for key in _KEYS:
        try:
            nvs.erase_key(key)
        except OSError:
            pass  # never written
    nvs.commit()
    for folder in ("/keys", "/queue", "/kept"):
        try:
            names = os.listdir(folder)
        except OSError:
            continue  # no such folder
        for name in names:
            try:
                os.remove(folder + "/" + name)
            except OSError as e:  # the others all the same
                console.say("%s/%s could not be removed: %r" % (folder, name, e))

# floor 10: firmware
# Starts the user's part: app.py and its sensors. RAM: none after.
"""load(s)   app.py is imported: `s.app`, or None and what is wrong with it is told
add(s)    its sensors are made and polled from now on

What goes wrong in app.py costs its sensors, never the node; what is wrong with one sensor costs
that one (sensor_check.py, hangs.py). `s` is the supervisor.
"""

import sys

import console
import machine
from l4mesh_io.unload import unload
from sensor_check import checked
from sensors import Sensors

_WATCHDOG = 3  # machine.reset_cause()


def load(s):
    """The user's file is compiled here, so it comes while there is room."""
    try:
        s.app = s.serial.call(_import_app)
    except Exception as e:
        _app_failed(e)


def _import_app():
    sys.modules.pop("app", None)  # half of it, when this is the second try
    return __import__("app")  # by what is on the board, on no floor of ours


def _app_failed(e):
    console.say("app.py: %r; the node runs without it" % e)
    sys.print_exception(e)


def add(s):
    """The user's sensors; what goes wrong in there must not stop the node."""
    if s.app is None:
        return
    try:
        named = checked(s.serial.call(s.app.sensors, s.board), console.say)
        s.sensors = Sensors(
            named, s.board.led, s.serial.call, console.say, console.fault, _watch(named)
        )
        s.node.notes["sensors"] = s.sensors.why
        s.runner.add(s.poll_sensors)
        if hasattr(s.app, "loop"):
            s.runner.add(s.poll_app)
        if hasattr(s.app, "typed"):
            s.serial.on_line = _typed(s)
    except Exception as e:
        s.app = None
        _app_failed(e)


def _watch(named):
    """What finds the sensor that hangs the board; None without RTC memory."""
    try:
        from hangs import Hangs

        bitten = machine.reset_cause() == _WATCHDOG
        h = Hangs(machine.RTC(), bitten, [s.name for s in named])
    except Exception as e:
        console.say("sensors that hang are not found out: %r" % e)
        return None
    unload("hangs")  # its code goes with the object
    if h.hung:
        console.say(h.hung)
    return h


def _typed(s):
    """What takes the lines that somebody types at the console."""

    def typed(line):
        try:
            s.serial.call(s.app.typed, s.node, line)
        except Exception as e:
            console.say("app.typed: %r" % e)

    return typed

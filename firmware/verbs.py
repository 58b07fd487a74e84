# floor 8: effects
# What commands by MQTT do to the board (l4mesh/commands.py). RAM: 5 kB, while there are commands.
"""read       all sensors, now                identify   {"s": 10}: the LED blinks
restart    in half a second                mode       {"mode": "standard"}: until a restart
ota        says what is known of updates; nothing more, they come by `l4 ota push`

Who may publish commands is up to the broker (docs/mqtt.md).
"""

import json

from l4mesh.commands import Commands
from l4mesh.orders import DO_IDENTIFY, DO_RESTART

_MODES = ("auto", "passive", "standard", "active")


class Verbs:
    def __init__(self, s):
        self._s = s
        self._sensors = getattr(s, "sensors", None)
        self._reading = False
        self.commands = Commands(
            s.node.uplink,
            {
                "read": self._read,
                "restart": self._restart,
                "mode": self._mode,
                "identify": self._identify,
                "ota": self._ota,
            },
        )

    @property
    def busy(self):
        return self._reading or self.commands.busy

    def poll(self, now):
        if self._reading:  # one sensor a time
            self._reading = self._s.poll_sensors(now) <= 0
        return self.commands.poll(now)

    def _read(self, given):
        if not self._sensors:
            raise ValueError("there are no sensors: see the app.py lines of the log")
        self._sensors.hurry()
        self._reading = True
        return ""

    def _restart(self, given):
        self._s.care().do(DO_RESTART, 0, 0)
        return ""

    def _mode(self, given):
        mode = given.get("mode")
        if mode not in _MODES:
            raise ValueError("mode must be one of " + ", ".join(_MODES))
        self._s.cfg.mode = mode
        self._s.node.modes.bound(mode)
        return "a board takes part as far as standard goes" if mode == "active" else ""

    def _identify(self, given):
        seconds = given.get("s", 10)
        if not isinstance(seconds, int) or not 0 <= seconds <= 600:
            raise ValueError("s must be a whole number from 0 to 600")
        status, _, why = self._s.care().do(DO_IDENTIFY, seconds, 64)
        if status:
            raise ValueError(why.decode())
        return ""

    def _ota(self, given):
        note = self._s.node.notes.get("ota")
        if self._s.cfg.ota == "never":
            raise ValueError("updates are switched off (ota: never)")
        if note is None:
            return "no update was ever offered; push one with l4 ota push"
        return json.dumps(note())

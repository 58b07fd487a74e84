# floor 10: firmware
# Makes what shows the sensors to Home Assistant. RAM: none after.
"""begin(s, rng, version), when the sensors are known and before the first connect; start.py then
unloads this module.
"""

import json
import sys

import console
import home
from l4mesh import ha
from l4mesh.endpoint import id_text
from l4mesh_io import clock


def names_kept():
    """Names that were announced before; what cannot be read is forgotten."""
    try:
        with open(home.KEPT) as f:
            names = json.load(f)
        return [n for n in names if isinstance(n, str)]
    except (OSError, ValueError, TypeError):
        return []


def _diagnostics(s, door, named):
    """What the board says of itself, unless a sensor of app.py has that name."""
    out = [
        ha.Diagnostic("rssi", "dBm", "signal_strength", s.wifi.rssi),
        ha.Diagnostic("backlog", "readings", None, door.backlog),
    ]
    if s.board.battery_mv() is not None:
        out.append(ha.Diagnostic("battery", "%", "battery", s.board.battery))
    names = [x.name for x in named]
    return [d for d in out if d.name not in names]


def begin(s, rng, version):
    sensors = getattr(s, "sensors", None)
    named = list(sensors.all) if sensors else []
    node = id_text(s.node.id)
    model = getattr(sys.implementation, "_machine", "")[:40]
    about = (s.cfg.name or "L4 " + node[:8], model, version)
    door = home.Door(s)
    shown = ha.Home(
        s.node.uplink, node, about, named + _diagnostics(s, door, named), rng, clock.known,
        names_kept(), door.save, s.board.sleep_s, door.told,
    )  # fmt: skip
    door.told()
    s.runner.add(shown.poll)
    if shown.hidden:
        console.say("Home Assistant: no room for the last %d values" % shown.hidden)
    return shown

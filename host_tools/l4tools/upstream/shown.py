"""Home Assistant sees a board that no broker hears: what its neighbours bring, by `via_device`.

A node shows its sensors itself (lib/l4mesh/ha.py). One that is cut off cannot, and the neighbour
that has its readings in custody cannot read them. L1 opens them, and gives what was new to the
tier that is on the broker, as an event on CARRIED, which no node can subscribe to. Here it becomes
an announcement and a state in the node's name, with the custodian as `via_device`.

The node's own announcement, which is retained, is taken over as it is: only `via_device` comes
in, its availability (its will said "offline") goes out, and values expire instead. While the
node's own status is "online" nothing is said in its name; its next announcement replaces ours.
"""

import json
import logging
import time
from collections import OrderedDict

from l4mesh.ha_text import config, slug

from ..readings.series import parse
from .readings import parse_reading, split_readings

log = logging.getLogger("l4tools.upstream")

CARRIED = b"l4/carried"  # topics that begin like this are the tiers' own
_IDS = 32
_TIMED, _FIRMWARE = 1, 8
_FRESH_MS = 120_000  # Home Assistant cannot date a state back: what is older goes to batch
_EXPIRE_S = 900
_SETTLE_S = 2.0  # for Home Assistant to subscribe to what it was just told of
_MOST_NODES = 1000
_MOST_SENSORS = 40  # of a node: what one state message holds
_BATCH = 32
_PREFIX = "homeassistant/sensor/l4_"
TOPICS = (_PREFIX[:-3] + "+/+/config", "l4/+/status")


def event(origin: bytes, via: bytes, readings: list) -> bytes:
    """What L1 tells of readings (as stored, without length bytes) that `via` brought."""
    return origin + via + b"".join(bytes((len(r),)) + r for r in readings)


class _Source:
    """What config() asks of a sensor; all that a reading says of it."""

    kind, total = None, False

    def __init__(self, name, unit):
        self.name, self.unit = name, unit


class _Node:
    def __init__(self):
        self.via = None
        self.slugs = {}  # sensor -> its name in topics
        self.values = {}  # slug -> (value, ms since 1970)
        self.told = set()  # slugs announced with this `via`
        self.due = False


class Shown:
    """`say(topic, payload, retain)` publishes; `later(seconds, f)` is the loop's call_later;
    `wall_ms()` ms since 1970. `heard` takes what is published on TOPICS, `carried` the events.
    """

    def __init__(self, say, later, wall_ms=lambda: time.time_ns() // 1_000_000):
        self._say, self._later, self._wall_ms = say, later, wall_ms
        self._nodes = OrderedDict()  # node id in hex -> _Node
        self._known = OrderedDict()  # (node, slug) -> the node's own announcement, a dict
        self._online = set()
        self.states = self.undated = 0

    # -- what is on the broker -----------------------------------------------------------------

    def heard(self, topic: str, payload: bytes) -> None:
        parts = topic.split("/")
        if topic.startswith(_PREFIX) and len(parts) == 5:
            self._announced(parts[2][3:], parts[3], payload)
        elif parts[0] == "l4" and len(parts) == 3 and parts[2] == "status":
            if payload != b"online":
                self._online.discard(parts[1])
            elif len(self._online) < 20 * _MOST_NODES:
                self._online.add(parts[1])
                self._nodes.pop(parts[1], None)

    def _announced(self, node, name, payload):
        try:
            doc = json.loads(payload) if payload else None
        except ValueError:
            return
        if not isinstance(doc, dict) or not isinstance(doc.get("dev"), dict):
            self._known.pop((node, name), None)
        elif "via_device" not in doc["dev"] or (node, name) not in self._known:
            # Its own word; or one of ours, of before this start: what it took over is in there.
            self._known[node, name] = doc
            if len(self._known) > _MOST_NODES * _MOST_SENSORS:
                self._known.popitem(last=False)

    # -- what came by a neighbour --------------------------------------------------------------

    def carried(self, data: bytes) -> None:
        """An event on CARRIED."""
        name, via = data[:16].hex(), data[16:_IDS].hex()
        readings = split_readings(data[_IDS:])
        if not readings or name in self._online:
            return
        node = self._nodes.setdefault(name, _Node())
        self._nodes.move_to_end(name)
        if len(self._nodes) > _MOST_NODES:
            self._nodes.popitem(last=False)
        if node.via != via:
            node.via = via
            node.told.clear()
        late, worst = [], 0
        for flags, ms, error_s, text in map(parse_reading, readings):
            if flags & _FIRMWARE:
                continue
            if not flags & _TIMED or error_s is None:
                self.undated += 1  # its time is found out by who reads the stream (clocks.py)
                continue
            row = self._row(name, node, text)
            if row is None:
                continue
            if self._wall_ms() - ms > _FRESH_MS:
                late.append([row[0], ms, row[1]])
                worst = max(worst, error_s)
            elif ms >= node.values.get(row[0], (None, 0))[1]:
                node.values[row[0]] = row[1], ms
                if not node.due:
                    node.due = True
                    self._later(_SETTLE_S, lambda: self._state(name, node))
        for i in range(0, len(late), _BATCH):
            doc = {"err": worst, "r": late[i : i + _BATCH]}
            self._say("l4/%s/batch" % name, json.dumps(doc).encode(), False)

    def _row(self, name, node, text):
        """(name in topics, value) of a reading; announces the sensor. None: no room for it."""
        sensor, value, unit = parse(text.partition("\t")[0])
        known = node.slugs.get(sensor)
        if known is None:
            if not sensor or len(node.slugs) >= _MOST_SENSORS:
                return None
            known = self._own_name(name, sensor) or slug(sensor, list(node.slugs.values()))
            node.slugs[sensor] = known
        if known not in node.told:
            node.told.add(known)
            self._announce(name, node.via, known, sensor, value, unit)
        return known, value

    def _own_name(self, name, sensor):
        for (node, known), doc in self._known.items():
            if node == name and doc.get("name") == sensor:
                return known
        return None

    def _announce(self, name, via, known, sensor, value, unit):
        doc = self._known.get((name, known))
        if doc is None:
            number = isinstance(value, float)
            about = ("L4 " + name[:8], "", "")
            text = config(name, about, known, _Source(sensor, unit), number, False, 0)
            doc = json.loads(text)
            del doc["dev"]["mdl"], doc["dev"]["sw"]
        doc = {**doc, "dev": {**doc["dev"], "via_device": "l4_" + via}}
        for key in ("avty_t", "avty", "avty_mode"):
            doc.pop(key, None)
        doc["exp_aft"] = _EXPIRE_S
        text = json.dumps(doc, ensure_ascii=False, separators=(",", ":"))
        self._say("%s%s/%s/config" % (_PREFIX, name, known), text.encode(), True)

    def _state(self, name, node):
        node.due = False
        if name in self._online or self._nodes.get(name) is not node:
            return
        oldest = self._wall_ms() - _EXPIRE_S * 1000
        doc = {k: v if ms >= oldest else None for k, (v, ms) in node.values.items()}
        self._say("l4/%s/state" % name, json.dumps(doc, ensure_ascii=False).encode(), False)
        self.states += 1

# floor 5: machines
# Home Assistant finds the sensors by MQTT and shows their values. RAM: 6 kB, when configured.
"""Home(up, node, about, sources, rng, wall, kept, keep, sleep_s, told), polled by the loop.

    homeassistant/sensor/l4_<id>/<sensor>/config   what it is, retained; one message a poll, after
                                every connect and when Home Assistant says that it started
    l4/<id>/state               {"temperature": 21.5, "door": null, ..}, not retained: all sensors,
                                at most once a second; null: no reading for three intervals
    l4/<id>/batch               {"err": 2, "r": [["temperature", 1795000000000, 21.5], ..]}: values
                                of the time without connection, each with its own ms since 1970 and
                                the error of the clock in s. Home Assistant cannot date a state
                                back, so these are never states; the newest 32, the queue has all

`sources` have name, unit, kind (device class or None), total (only grows), every_ms, value and
news (True: `value` is new; Home clears it); a Diagnostic is asked here. Those that do not fit in
one state message are left out: `hidden`. `about`: (device name, model, version). `wall()` ->
(6 bytes of ms since 1970, error in s) or None. `kept`: names announced before; `keep(names)`
writes that list. What is no sensor any more is announced as gone, and forgotten when the broker
has shown that it got that. `sleep_s`: a board that sleeps so long between readings is not offline
then: its values expire instead. `told()` is called after an announcement: ha_text.py, which makes
it, may be forgotten until the next. `up`: l4mesh_io/mqtt.py.
"""

import json

from . import ticks
from .compat import const

_PREFIX = b"homeassistant/"
_EACH_MS = const(1000)
_SETTLE_MS = const(2000)  # for Home Assistant to subscribe to what it was just told of
_DIAG_MS = const(60000)
_SHORT_MS = const(5000)  # until there may be memory again
_LATE = const(32)
_OLD_MS = const(400000000)  # ticks cannot tell more than six days
_MOST = const(600)  # bytes of a payload
_NAME = const(40)
_TEXT = const(32)  # of a text that a sensor gives
_STATE = const(1150)


class Diagnostic:
    """Something of the board itself, asked by `read()` once a minute; None: not known now."""

    total = False
    every_ms = _DIAG_MS

    def __init__(self, name, unit, kind, read):
        self.name = name
        self.unit = unit
        self.kind = kind
        self.read = read
        self.value = None
        self.news = False


def _is_number(s):
    """Home Assistant takes what has a unit or a state class for a number."""
    return bool(s.unit or s.kind or s.total)


def _plain(s, v):
    """A value of a source as JSON."""
    if isinstance(v, str):
        return "null" if _is_number(s) else json.dumps(v[:_TEXT])
    return "%.6g" % v if isinstance(v, float) else json.dumps(v)


class Home:
    def __init__(
        self, up, node, about, sources, rng, wall, kept=(), keep=None, sleep_s=0, told=None
    ):
        self._mqtt = up
        self._told = told
        self._node = node
        self._about = about
        self._rng = rng
        self._wall = wall
        self._keep = keep
        self._sleep_s = sleep_s
        self._rows = rows = []  # [name in topics, source, ticks of its value or None]
        from .ha_text import slug

        names = []
        room = _STATE
        self.hidden = 0
        for s in sources:
            room -= min(len(s.name), _NAME) + _TEXT + 8
            if room < 0:
                self.hidden += 1
                continue
            names.append(slug(s.name, names))
            rows.append([names[-1], s, None])
        self._names = names
        self._gone = [n for n in kept if n not in names]
        if keep and [n for n in names if n not in kept]:
            keep(list(kept) + [n for n in names if n not in kept])  # before anyone hears of them
        self._session = 0  # of the connection that was told
        self._step = 0  # messages of the announcement that were sent
        self._proof = None  # pongs that show that the broker got all of it
        self._due = None  # when it is made again
        self._born = self._dirty = False
        self._looked = self._quiet = None
        self._late = []  # row, value, ticks; row, ..
        self.dropped = self.short = 0
        up.hear(_PREFIX + b"status", self._birth)

    def _birth(self, data, retained):
        if data == b"online":
            self._born = True

    def poll(self, now):
        """ms until the next call."""
        if self._looked is None or ticks.diff(now, self._looked) >= _EACH_MS:
            self._looked = now
            self._look(now)
        up = self._mqtt
        if not up.up:
            return _EACH_MS
        if up.session != self._session:
            self._session = up.session
            self._begin(now)
        if self._born:  # all boards hear it at once
            self._born = False
            self._due = ticks.add(now, 500 + self._rng.getrandbits(12))
        if self._due is not None and ticks.diff(now, self._due) >= 0:
            self._begin(now)
        if self._step < len(self._gone) + len(self._rows):
            return self._announce(now)
        if self._proof is not None and up.pongs >= self._proof:
            self._proof = None
            self._gone = []
            self._step = len(self._rows)
            self._keep(self._names)
        if self._quiet is not None:
            if ticks.diff(now, self._quiet) < 0:
                return _EACH_MS
            self._quiet = None
            self._dirty = True
        if self._dirty:
            self._dirty = not up.say(up.base + b"/state", self.state())
        elif self._late:
            self._tell_late(now)
        return _EACH_MS

    def _begin(self, now):
        self._step = 0
        self._due = self._proof = None

    def _announce(self, now):
        """The next message: first what is gone."""
        i = self._step - len(self._gone)
        name = self._gone[i] if i < 0 else self._names[i]
        topic = _PREFIX + ("sensor/l4_%s/%s/config" % (self._node, name)).encode()
        try:
            data = b"" if i < 0 else self.config(i)
        except MemoryError:
            self.short += 1
            return _SHORT_MS
        if self._mqtt.say(topic, data, True):
            self._step += 1
            if i + 1 == len(self._rows):
                self._quiet = ticks.add(now, _SETTLE_MS)
                if self._told:
                    self._told()
                if self._gone and self._keep:
                    self._proof = self._mqtt.pongs + 2  # the next may be of an earlier ping
        return 50

    def config(self, i):
        from .ha_text import config

        name, s = self._rows[i][:2]
        own = isinstance(s, Diagnostic)
        return config(self._node, self._about, name, s, _is_number(s), own, self._sleep_s)

    def state(self):
        """All values as they are."""
        out = []
        for name, s, at in self._rows:
            out.append('"%s":%s' % (name, "null" if at is None else _plain(s, s.value)))
        return ("{" + ",".join(out) + "}").encode()

    def _look(self, now):
        """Take what is new, forget what is old."""
        for i in range(len(self._rows)):
            row = self._rows[i]
            s, at = row[1], row[2]
            own = isinstance(s, Diagnostic)
            if own and (at is None or ticks.diff(now, at) >= s.every_ms):
                s.value = s.read()
                s.news = s.value is not None
            if s.news:
                s.news = False
                row[2] = now
                self._dirty = True
                if not own and not self._mqtt.up:
                    self._late += (i, s.value, now)
            elif at is not None and ticks.diff(now, at) > 3 * s.every_ms + _DIAG_MS:
                row[2] = None
                self._dirty = True
        late = self._late
        while late and (len(late) > 3 * _LATE or ticks.diff(now, late[2]) > _OLD_MS):
            del late[:3]
            self.dropped += 1

    def _tell_late(self, now):
        """As many of the values of the outage as one message holds, once the date is known."""
        known = self._wall()
        if known is None:
            return
        ms = int.from_bytes(known[0], "big")
        out = '{"err":%d,"r":[' % known[1]
        n = 0
        late = self._late
        while n < len(late) and len(out) <= _MOST - _NAME - 80:
            name, s = self._rows[late[n]][:2]
            value = _plain(s, late[n + 1])
            at = ms - ticks.diff(now, late[n + 2])
            out += '%s["%s",%d,%s]' % ("," if n else "", name, at, value)
            n += 3
        if self._mqtt.say(self._mqtt.base + b"/batch", (out + "]}").encode()):
            del late[:n]

# floor 5: machines
# Keeps readings to itself that the sink can predict. RAM: 1 kB of code when a sensor has a band.
"""Dual prediction (level + trend, after Holt) with a dead band: node and sink know the same
straight line, and only what leaves it is sent. Source: Holt 1957, Santini and Roemer 2006.

    p = Predictor(band, every_s)
    if p.due(v) and submit("name=value unit" + p.suffix(v)): p.sent()
    p.gap()            no value at this beat (a failed read): nothing may be predicted over it

A value that was due and not sent (the queue refused it) is a gap by itself.

The line is part of what is sent: the sink does not run an estimator of its own that could differ
in the last bit, it draws the line that the suffix names. One reading:

    name=value unit \t k[!] level slope band every

k         values since the last one sent, all within `band` of the line that it started
!         after those, values are missing: the line ended there
level     the line at this reading; slope: per value; every: seconds from value to value

So what the sink draws is certain as soon as the next reading comes, and off by no more than the
band. At least one value in 15 minutes is sent (all, if they are rarer): silence means a dead node.
A value is sent with 6 digits; the test against the band uses the same digits.
"""

from .compat import const

_HEARTBEAT_S = const(900)
_MOST = const(999)  # values in a row that may stay unsent
_LEVEL = 0.3  # weight of a new value in the level; in the trend below
_TREND = 0.1
_FORGET = 0.05  # of which of both lines was better so far


class Predictor:
    """`band` > 0 in the sensor's unit, `every_s` its interval."""

    def __init__(self, band, every_s):
        if not band > 0:
            raise ValueError("a dead band must be above 0; leave it out to send every reading")
        self.band = band
        self.every_s = every_s
        self.kept = 0  # values not sent, ever
        self._most = min(int(_HEARTBEAT_S // every_s), _MOST)
        self._line = None  # (level, slope) that the sink knows
        self._k = 0
        self._broken = True
        self._owed = False
        self._level = None  # the estimate, of all values
        self._trend = 0.0
        self._hold_off = self._trend_off = 0.0  # mean error of both ways to go on
        self._next = None

    def due(self, v):
        """Is `v` a surprise? Call once for each value; a value that is due is not yet sent."""
        self._learn(v)
        if self._owed:
            self._broken = True
        self._owed = True
        if self._broken or self._k >= self._most:
            return True
        level, slope = self._line
        # A hair less than the band: the sink computes with other floats than a board does.
        if abs(level + slope * (self._k + 1) - v) > self.band * 0.999:
            return True
        self._owed = False
        self._k += 1
        self.kept += 1
        return False

    def _learn(self, v):
        level = self._level
        if level is None:
            self._level = v
            return
        ahead = level + self._trend
        self._hold_off += _FORGET * (abs(v - level) - self._hold_off)
        self._trend_off += _FORGET * (abs(v - ahead) - self._trend_off)
        if abs(v - level) > 4 * self.band:  # a step: what was before says nothing any more
            self._level = v
            self._trend = 0.0
            return
        self._level = ahead + _LEVEL * (v - ahead)
        self._trend += _TREND * (self._level - level - self._trend)

    def suffix(self, v):
        """What is put behind the reading of the value `v`."""
        level = self._level
        if abs(level - v) > self.band / 2:
            level = v
        slope = self._trend if self._trend_off < self._hold_off else 0.0
        texts = ("%.6g" % level, "%.3g" % slope)
        self._next = (float(texts[0]), float(texts[1]))
        return "\t%d%s %s %s %.4g %.6g" % (
            (self._k, "!" if self._broken else "") + texts + (self.band, self.every_s)
        )

    def sent(self):
        """The reading with the last suffix() was taken: the sink will know its line."""
        self._line = self._next
        self._k = 0
        self._broken = self._owed = False

    def gap(self):
        """There is no value at this beat."""
        self._broken = True

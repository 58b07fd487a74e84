# floor 10: firmware
# Gives readings their time and gets it from whoever has it. RAM: 1.5 kB, more while it is unknown.
"""begin(s) makes s.time, a Timekeeper; s is the supervisor, with node, runner, wifi and cfg.

The time comes, best first, from the upstream (with each registration), from neighbours, or from
NTP, which alone is not authenticated and asked only when the others are silent. Until then a run
of the clock stamps the readings, and a mark dates them later (l4mesh_io/clockrun.py). NTP is not
believed against a time that the mesh told, beyond what both claim to be wrong.

    stamp() -> (6 bytes, known, error s)     told(ms6, bound_s): the time, from somebody
    mark()      queue what gives earlier readings their time; asked again after each told()
"""

from os import urandom as entropy  # l4mesh_io/entropy.py is gone by now

import machine
from l4mesh.wire import T_TIME
from l4mesh_io import clock
from l4mesh_io.unload import unload

_UNKNOWN = 65535
_NTP_AFTER_MS = 30000
_NTP_ERROR_S = 5  # so good, nobody needs to be asked


def begin(s):
    s.time = t = Timekeeper(s)
    Timekeeper.__init__ = None  # made once
    t.mark()


class Timekeeper:
    def __init__(self, s):
        from l4mesh_io.clockrun import ClockRun  # goes again when the time is known

        self._s = s
        self._share = self._sntp = None
        self._by_ntp = False  # nobody but NTP told the time
        slept = machine.reset_cause() == machine.DEEPSLEEP_RESET
        self._run = ClockRun(machine.RTC(), entropy, slept)
        s.node.inbox.handle(T_TIME, self._on_time)
        s.runner.add(self._poll_neighbours)
        if s.cfg.ntp:
            s.runner.add(self._poll_ntp)

    def stamp(self):
        if self._run:
            return self._run.stamp()
        return clock.wall_ms6(), 1, clock.error_s()

    def told(self, ms6, bound_s):
        self._by_ntp = False
        return self._take(ms6, bound_s)

    def _told_by_ntp(self, ms6, bound_s):
        known = clock.known()
        if known and not self._by_ntp:
            off = abs(int.from_bytes(ms6, "big") - int.from_bytes(known[0], "big"))
            return off <= (known[1] + bound_s + 1) * 1000 and self._take(ms6, bound_s)
        self._by_ntp = self._take(ms6, bound_s)
        return self._by_ntp

    def _take(self, ms6, bound_s):
        if self._run is None:
            return clock.set_wall(ms6, bound_s)
        if not self._run.told(ms6, bound_s):
            return False
        self.mark()
        return True

    def mark(self):
        run = self._run
        text = run.mark()
        if text:
            t, known, error = run.stamp()
            if not self._s.node.submit(text.encode(), len(text), t, 8 | known, error):
                return  # tried again when the time is told again
            run.marked()
        if clock.wall_ms6():
            self._run = None  # nobody needs it any more
            unload("l4mesh_io.clockrun")

    def _on_time(self, slot, buf, addr, now):
        self._sharing().on_time(slot, buf, addr, now)

    def _sharing(self):
        if self._share is None:
            from l4mesh.timeshare import TimeShare  # with the first who asks, or when we ask

            self._share = TimeShare(self._s.node, clock.known, self.told)
        return self._share

    def _poll_neighbours(self, now):
        if clock.error_s() < _UNKNOWN or not self._s.wifi.up:
            return 10000
        return self._sharing().poll(now)

    def _poll_ntp(self, now):
        if self._sntp is None:
            self._sntp = False  # somebody may tell it for nothing
            return _NTP_AFTER_MS
        if clock.error_s() < _NTP_ERROR_S or not self._s.wifi.up:
            return 30000
        if not self._sntp:
            from l4mesh_io.sntp import Sntp

            self._sntp = Sntp(self._s.cfg.ntp, self._told_by_ntp, entropy)
            self._s.node.notes["ntp"] = self._sntp.why
        return self._sntp.poll(now)

# floor 2: values
# A coarse clock for everything longer than hours, fed by ticks that wrap. RAM: three small ints.
"""Minutes since start: lifetimes, LRU age and key age are kept in these, as ticks wrap in 12 days.

Call `advance(now)` at every poll; minutes are right as long as it is called once in 6 days.
"""

from .ticks import diff


class Minutes:
    def __init__(self, now: int = 0):
        """`now`: the tick at which minute 0 begins."""
        self.minute = 0
        self._last = now
        self._rest_ms = 0

    def advance(self, now: int) -> int:
        """Take notice of tick `now` -> whole minutes since start."""
        passed = diff(now, self._last)
        if -60000 < passed < 0:  # two callers a little out of order: time stands still
            return self.minute
        self._last = now
        if (
            passed > 0
        ):  # else nobody called for over 6 days: that gap cannot be told, go on from here
            passed += self._rest_ms
            self.minute += passed // 60000
            self._rest_ms = passed % 60000
        return self.minute

# floor 9: firmware
# Counts pulses at a pin: meters, rain gauges, flow. RAM: 1.6 kB.
"""Counter(pin, debounce_ms=20, factor=1)    .total() -> pulses since the start, times `factor`

A contact between the pin and GND; the pin has its pull-up. A contact bounces: it counts when it
closes after `debounce_ms` in which it did not change. For electronic pulses debounce_ms=0: each
falling edge counts.

The count begins at 0 at each start: say total=True to Sensor, then Home Assistant adds on over
restarts. Pulses while the board is off or in deep sleep are lost. Python gets its turn between
two of its instructions only: up to some 100 pulses a second are counted, and fewer while something
blocks, as at most 8 wait. The chip's own counter (esp32.PCNT, where there is one) knows no limit.
"""

from l4mesh import ticks
from l4mesh_io import clock

_REST_MS = 1000


class Counter:
    def __init__(self, pin, debounce_ms=20, factor=1):
        from machine import Pin

        self.n = 0
        self._ms = debounce_ms
        self._factor = factor
        try:
            self._pin = Pin(pin, Pin.IN, Pin.PULL_UP)
        except ValueError:
            raise OSError("There is no pin %d on this board." % pin)
        self._last = clock.now()
        self._closed = not self._pin.value()
        if debounce_ms:
            self._pin.irq(self._edge, Pin.IRQ_FALLING | Pin.IRQ_RISING)
        else:
            self._pin.irq(self._pulse, Pin.IRQ_FALLING)

    def _pulse(self, pin):
        self.n += 1

    def _edge(self, pin):
        now = clock.now()
        if ticks.diff(now, self._last) >= self._ms:  # it was at rest: this is no bounce
            self._closed = not self._closed
            self.n += self._closed
        self._last = now

    def total(self):
        # Not sooner: an edge that is still on its way to its handler would count the wrong way.
        if ticks.diff(clock.now(), self._last) >= max(self._ms, _REST_MS):
            self._last = ticks.add(clock.now(), -self._ms)  # for diff, which needs < 6 days
            self._closed = not self._pin.value()  # should an edge have been lost
        return self.n * self._factor

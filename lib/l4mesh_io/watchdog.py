# floor 8: effects
# The hardware watchdog, where there is one. RAM: one object.
"""Resets the board when the loop hangs.

machine.WDT can never be stopped, and on ESP32 it survives a soft reset, so it would reset the
board in the middle of a copy by mpremote. `relax()` makes it patient (a second WDT() with a longer
time-out reconfigures it); call it when Ctrl-C or a REPL session takes the board over.
"""


class Watchdog:
    """`timeout_ms`: longest gap between two feeds. Nothing happens where machine.WDT is absent."""

    def __init__(self, timeout_ms, enabled=True, machine=None):
        self._wdt = None
        self._make = None
        if enabled:
            try:
                if machine is None:
                    import machine
                self._make = machine.WDT
                self._wdt = self._make(timeout=timeout_ms)
            except Exception:
                pass  # no machine, no WDT, or a build that refuses this time-out
        self.active = self._wdt is not None

    def feed(self):
        """All is well."""
        if self._wdt:
            self._wdt.feed()

    def relax(self, ms=600000):
        """A person has the board now: bite only after `ms`. False: the build cannot do that."""
        if self._wdt:
            try:
                self._wdt = self._make(timeout=ms)
                self._wdt.feed()
            except Exception:
                return False
        return True

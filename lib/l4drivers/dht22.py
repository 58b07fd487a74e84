# floor 9: firmware
# DHT22 (AM2302): temperature and humidity of the air, one data pin. RAM: 1.8 kB.
"""DHT22(pin)    .temperature() -> °C, .humidity() -> %

One measurement (25 ms) serves both when they are read within 2 s; the chip cannot do more than one
in 2 s. By the firmware's own `dht`.
"""

from l4mesh import ticks
from l4mesh_io import clock


class DHT22:
    def __init__(self, pin):
        self._pin = pin
        self._dht = None
        self._at = None  # of the last good measurement

    def temperature(self):
        self._measure()
        return self._dht.temperature()

    def humidity(self):
        self._measure()
        return self._dht.humidity()

    def _measure(self):
        now = clock.now()
        if self._at is not None and 0 <= ticks.diff(now, self._at) < 2000:
            return
        if self._dht is None:
            import dht
            from machine import Pin

            self._dht = dht.DHT22(Pin(self._pin))
        self._at = None
        d = self._dht
        try:
            d.measure()
        except OSError:
            raise OSError(
                "No DHT22 answers on pin %d: check its power and the 10 kΩ pull-up of the data "
                "line." % self._pin
            )
        except Exception:
            raise OSError(self._bad())
        if not (-40 <= d.temperature() <= 80 and 0 <= d.humidity() <= 100):
            raise OSError(self._bad())
        self._at = now

    def _bad(self):
        return "The DHT22 on pin %d sends garbage: check pull-up and wire." % self._pin

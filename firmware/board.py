# floor 8: effects
# The board's own state: battery, heap, WiFi. RAM: 0.4 kB.
"""Board    what the hardware says of itself; the signals of the modes. app.py gets it, too.

percent(mv)  charge of a Li-ion cell
"""

# Li-ion at rest: 1/20 V from 3.3 to 4.2 -> percent, straight lines between
_CURVE = b"\x00\x01\x02\x04\x06\x08\x0a\x12\x1a\x26\x32\x3c\x46\x4e\x55\x5a\x5e\x61\x64"


def percent(mv):
    """Charge of a Li-ion cell in percent, from its voltage in mV: 3300 = 0, 4200 = 100."""
    mv = min(max(mv, 3300), 4200) - 3300
    i = mv // 50
    below = _CURVE[i]
    return below + (mv % 50 and (_CURVE[i + 1] - below) * (mv % 50) // 50)


class Board:
    """`battery_pin`: ADC pin behind a `divider`; None = mains. `led`: pin number or None.
    `interval_s`: what app.py takes for its sensors. `wifi`: l4mesh_io.wifi.Wifi or None.
    `machine`, `gc`, `esp32`: the modules, or stand-ins in a test.
    """

    def __init__(
        self,
        battery_pin=None,
        divider=2,
        led=None,
        interval_s=10,
        metered=False,
        wifi=None,
        machine=None,
        gc=None,
        esp32=None,
    ):
        self.machine = machine = machine or __import__("machine")
        self._gc = gc or __import__("gc")
        self._esp32 = esp32
        self.interval_s = interval_s
        self.sleep_s = 0  # app.py's, if it puts the board to deep sleep between readings
        self.wifi = wifi
        self.errors = 0
        self._divider = divider
        self._adc = self._mv = self.led = None
        if led is not None:
            self.led = machine.Pin(led, machine.Pin.OUT)
        if battery_pin is not None:
            self._adc = machine.ADC(machine.Pin(battery_pin))
            try:
                self._adc.atten(machine.ADC.ATTN_11DB)  # up to 3.1 V
            except AttributeError:
                pass  # a virtual board's has one range
        self._signals = {"mains": self._adc is None, "metered": metered}

    def battery_mv(self):
        """Smoothed battery voltage in mV; None on mains, or before the ADC ever worked."""
        if self._adc:
            try:
                uv = 0
                for _ in range(8):
                    uv += self._adc.read_uv() // 8
                mv = int(uv * self._divider) // 1000
                # The radio's bursts make it jump: follow by a quarter; a real fall at once.
                if self._mv and mv > self._mv - 300:
                    mv = self._mv + (mv - self._mv) // 4
                self._mv = mv
            except Exception:
                self.errors += 1
        return self._mv

    def battery(self):
        """Charge in percent, None on mains or unknown."""
        mv = self.battery_mv()
        return None if mv is None else percent(mv)

    def heap_largest(self):
        """Largest free block of the IDF heap in bytes, None when this is no ESP32."""
        try:
            esp32 = self._esp32 or __import__("esp32")
            return max([r[2] for r in esp32.idf_heap_info(esp32.HEAP_DATA)])
        except Exception:
            return None

    def signals(self):
        """What the modes judge by: one dict, filled anew."""
        s = self._signals
        w = self.wifi
        s["battery"] = self.battery()
        s["heap_free"] = self._gc.mem_free()
        s["heap_largest"] = self.heap_largest()
        s["wifi"] = bool(w and w.up)
        s["rssi"] = w and w.rssi()
        return s

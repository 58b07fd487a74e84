# floor 8: effects
# Reads the sensors that app.py names, and knows the board's own state. RAM: 150 B a sensor.
"""Sensor   a name, a unit, how often, and a function that reads it; with a `band` (in its unit)
         only values are sent that its line misses by more (l4mesh/predict.py)
Sensors  a list of them: reads what is due, one a poll, hands `name=value unit` to the queue
Board    what the hardware says of itself: battery, heap, WiFi; the signals of the modes

A sensor that raises is alone in it: counted, tried again after 2 s, doubling up to its own
interval or a minute, told by why(). A reading counts as taken when submit() says so; then, and
only then, the LED blinks once. A reading that the queue refuses is counted, and the next one comes
when it is due. None means "nothing to say now".
"""

from l4mesh import ticks

_MAX = 100  # bytes of a reading
_RETRY_MS = 2000
_MINUTE_MS = 60000
# Li-ion at rest: 1/20 V from 3.3 to 4.2 -> percent, straight lines between
_CURVE = b"\x00\x01\x02\x04\x06\x08\x0a\x12\x1a\x26\x32\x3c\x46\x4e\x55\x5a\x5e\x61\x64"


def percent(mv):
    """Charge of a Li-ion cell in percent, from its voltage in mV: 3300 = 0, 4200 = 100."""
    mv = min(max(mv, 3300), 4200) - 3300
    i = mv // 50
    below = _CURVE[i]
    return below + (mv % 50 and (_CURVE[i + 1] - below) * (mv % 50) // 50)


class Sensor:
    """`read()` returns a number, a short text, or None. `every_s`: 0.1 to 86400."""

    def __init__(self, name, unit, every_s, read, band=None):
        if not name or "=" in name or " " in name or len((name + unit).encode()) > 60:
            raise ValueError("Bad sensor %r: name it in 1 to 60 bytes without space or =." % name)
        if not 0.1 <= every_s <= 86400:
            raise ValueError("Sensor %s: every_s must be from 0.1 to 86400." % name)
        self.name = name
        self.unit = unit
        self.every_ms = int(every_s * 1000)
        self.read = read
        self.due = None  # at once
        self.fails = 0  # in a row
        self.said = ""  # the last error
        self.line = None
        if band:
            from l4mesh.predict import Predictor

            self.line = Predictor(band, every_s)

    def data(self):
        """One reading as bytes, or None: nothing to say, or what the sink expects anyway."""
        v = self.read()
        line = self.line
        if v is None:
            if line:
                line.gap()
            return None
        number = v
        if isinstance(v, float):
            if v - v != 0:
                raise ValueError("not a finite number")
            v = "%.6g" % v
        text = ("%s=%s %s" % (self.name, v, self.unit)).strip()
        if "\t" in text or "\n" in text:
            raise ValueError("text with a tab or a new line")
        if line:
            if not line.due(number):
                return None
            text += line.suffix(number)
        text = text.encode()
        if len(text) > _MAX:
            raise ValueError("text too long")
        return text


class Sensors:
    """`sensors`: a list of Sensor. `led`: a Pin (or None), blinks for each reading taken.
    `call(f)`: calls the user's code (serial.py's, so that Ctrl-C reaches it).
    """

    def __init__(self, sensors, led=None, call=lambda f: f()):
        self._all = sensors
        self._call = call
        self._led = led
        self.taken = self.refused = self.errors = 0

    def poll(self, now, submit):
        """Read at most one sensor that is due; `submit(data, n) -> bool`. ms until the next."""
        wait = _MINUTE_MS
        busy = False
        for s in self._all:
            left = 0 if s.due is None else ticks.diff(s.due, now)
            if left <= 0:
                if busy:
                    return 0
                busy = True
                self._read(s, now, submit)
                left = ticks.diff(s.due, now)
            wait = min(wait, left)
        return wait

    def _read(self, s, now, submit):
        try:
            data = self._call(s.data)
            s.fails = 0
        except Exception as e:
            if s.line:
                s.line.gap()
            s.said = repr(e)
            s.fails += 1
            self.errors += 1
            ms = min(_RETRY_MS << min(s.fails - 1, 10), max(s.every_ms, _MINUTE_MS))
            s.due = ticks.add(now, ms)
            return
        # On the beat; beats that were missed are not made up for.
        s.due = ticks.add(now if s.due is None else s.due, s.every_ms)
        if ticks.diff(s.due, now) <= 0:
            s.due = ticks.add(now, s.every_ms)
        if not data:
            return
        if not submit(data, len(data)):
            self.refused += 1
            return
        self.taken += 1
        if s.line:
            s.line.sent()
        if self._led:
            self._led.value(1)
            self._led.value(0)

    def why(self):
        """One sentence: all well, or which sensor fails with what."""
        bad = ["%s fails: %s" % (s.name, s.said) for s in self._all if s.fails]
        return ("; ".join(bad) or "All sensors work") + "."


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

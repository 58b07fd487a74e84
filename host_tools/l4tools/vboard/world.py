"""What surrounds one virtual board: sensors, pins, access point; and its NVS and RTC memory.

It lives outside the board's process, so a figure taken from here is not the firmware's own word.
Values are set at any time from any thread: a number, a list of (seconds, value) points that is
interpolated from the board's creation on, or (in Python) a function of those seconds.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.vboard.parts import Bme280, Ds18b20, Wire
from l4tools.vboard.settings import settings

Value = float | list | Callable[[float], float]

_SETTABLE = (
    *("temperature", "humidity", "pressure", "dht_works", "chip", "heap", "rssi"),
    *("networks", "connect_s", "clock", "i2c_fault"),
)
_S_2000 = 946684800
IDLE, CONNECTING, GOT_IP, NO_AP, WRONG_PASSWORD = 1000, 1001, 1010, 201, 202
NVS_BYTES = 16 * 1024


def value_at(value: Value, seconds: float) -> float:
    """A setting's value `seconds` after the board was made."""
    if callable(value):
        return value(seconds)
    if not isinstance(value, (list, tuple)):
        return value
    before = value[0]
    for point in value:
        if point[0] > seconds:
            if point[0] == before[0] or seconds <= before[0]:
                return before[1]
            part = (seconds - before[0]) / (point[0] - before[0])
            return before[1] + (point[1] - before[1]) * part
        before = point
    return before[1]


class World:
    def __init__(self, nvs_file: Path | None = None):
        pins = settings()["pins"]
        self.led = pins["led"]
        self.adc: dict[int, Value] = {pins["battery"]: 2_000_000}  # uV at the pin
        self.temperature: Value = 21.5
        self.humidity: Value = 48.0
        self.pressure: Value = 1013.25  # hPa
        self.probes: dict[str, Value] = {"28ff641e8216a1": 18.5, "28ff641e8216a2": 55.25}  # C
        self.dht_works = True
        self.chip: Value = 38  # C
        self.heap: tuple = (160000, 94256, 53248, 90000)
        self.networks: dict[str, str] = {"bench": "bench-pass"}
        self.rssi: Value = -55
        self.ap_up = True
        self.pins: dict[int, int] = {}
        self.pulses: Counter = Counter()  # rising edges by pin
        self.counts: Counter = Counter()  # what the desk handed out, by operation
        self.connect_s = settings()["radio"]["connect_ms"] / 1000
        self.start = time.monotonic()
        self.i2c_pins = (pins["scl"], pins["sda"])
        self.i2c = {0x76: self._bme280()}
        self.i2c_fault = ""  # "scl" or "sda": held low
        self.wires = {pins["onewire"]: Wire([self.probe(rom) for rom in self.probes])}
        self.inputs: dict[int, int] = {}  # levels that come from outside
        self.edges: list[tuple] = []  # (ms, pin, level) to come
        self.watched: set[int] = set()
        self._due: list[tuple] = []
        self._told_ms = 0.0
        self.rtc = b""
        self.clock = "host"  # or "unset": 2000 at power-on, as a chip has it
        self.clock_ms: int | None = None  # what it is ahead of the host's; None: begins anew
        self.nvs_file = nvs_file
        self.nvs_bytes = NVS_BYTES
        self._nvs: dict[str, dict[str, list]] = {}
        if nvs_file and nvs_file.exists():
            self._nvs = json.loads(nvs_file.read_text())
        self._pending: dict[str, dict[str, list | None]] = {}
        self._radio = False
        self._joined: tuple[str, str] | None = None
        self._since = 0.0

    @property
    def taken(self) -> int:
        """Readings that the node said, by its LED, its queue has taken."""
        return self.pulses[self.led]

    def set(self, **values) -> None:
        """Set attributes by name, as the control channel does; `adc` takes {"34": value}."""
        for name, value in values.items():
            if name == "adc":
                self.adc.update({int(pin): v for pin, v in value.items()})
            elif name == "probes":
                self.probes.update(value)
            elif name in _SETTABLE:
                setattr(self, name, value)
            else:
                raise ToolError("A board's world has no %r. See world.py for what it has." % name)

    def get(self, value: Value) -> float:
        return value_at(value, time.monotonic() - self.start)

    # -- parts on wires -----------------------------------------------------------------------
    def _bme280(self) -> Bme280:
        return Bme280(
            lambda: self.get(self.temperature),
            lambda: self.get(self.humidity),
            lambda: self.get(self.pressure),
            time.monotonic,
        )

    def probe(self, rom: str) -> Ds18b20:
        """One more DS18B20 for a wire; its value is `probes[rom]`."""
        return Ds18b20(rom, lambda: self.get(self.probes[rom]), time.monotonic)

    def pulse(self, pin: int, n: int = 1, low_ms: int = 40, high_ms: int = 60, bounces: int = 0):
        """A contact closes to ground `n` times from now on, each time with `bounces`."""
        t = max(time.monotonic() * 1000, self.edges[-1][0] if self.edges else 0)
        new = []
        for _ in range(n):
            for level, rest in ((0, low_ms), (1, high_ms)):
                for k in range(bounces):
                    new += [(t + 2 * k, pin, level), (t + 2 * k + 1, pin, 1 - level)]
                new.append((t + 2 * bounces, pin, level))
                t += rest
        self.edges += new

    def new_edges(self) -> list[tuple]:
        """(pin, level, ms since the one before) of what has happened on watched pins."""
        self.advance()
        out, self._due = self._due[:100], self._due[100:]
        return out

    def advance(self) -> None:
        """Take the levels of this moment."""
        now = time.monotonic() * 1000
        while self.edges and self.edges[0][0] <= now:
            t, pin, level = self.edges.pop(0)
            self.inputs[pin] = level
            if pin in self.watched:
                self._due.append((pin, level, min(1000, max(0, round(t - self._told_ms)))))
                self._told_ms = t

    # -- time ---------------------------------------------------------------------------------
    def ahead_ms(self) -> int:
        """What the clock of a board without a date is ahead of the host's."""
        if self.clock_ms is None:
            self.clock_ms = _S_2000 * 1000 - time.time_ns() // 1000000
        return self.clock_ms

    # -- resets --------------------------------------------------------------------------------
    def lost_power(self) -> None:
        self.rtc = b""
        self.clock_ms = None
        for wire in self.wires.values():
            for probe in wire.probes:
                probe.lost_power()
        self.hard_reset()

    def hard_reset(self) -> None:
        """Everything outside RTC memory starts anew; the radio, too."""
        self._radio, self._joined = False, None
        self.pins.clear()
        self.watched.clear()
        self.soft_reset()

    def soft_reset(self) -> None:
        """WiFi stays up; uncommitted NVS values go."""
        self._pending.clear()

    # -- WiFi ----------------------------------------------------------------------------------
    def radio(self, on: bool) -> None:
        self._radio = on
        if not on:
            self._joined = None

    def join(self, ssid: str, key: str) -> bool:
        """False: busy with an earlier connect()."""
        if not self._radio or self.wifi_status() == CONNECTING:
            return False
        self._joined, self._since = (ssid, key), time.monotonic()
        return True

    def leave(self) -> None:
        self._joined = None

    def set_ap(self, up: bool) -> None:
        """The access point goes, or is back (the driver then reconnects by itself)."""
        self.ap_up, self._since = up, time.monotonic()

    def wifi_status(self) -> int:
        if not self._radio or self._joined is None:
            return IDLE
        ssid, key = self._joined
        if not self.ap_up or ssid not in self.networks:
            early = time.monotonic() - self._since < self.connect_s
            return CONNECTING if early and self.ap_up else NO_AP
        if time.monotonic() - self._since < self.connect_s:
            return CONNECTING
        return GOT_IP if self.networks[ssid] == key else WRONG_PASSWORD

    # -- NVS -----------------------------------------------------------------------------------
    def nvs_get(self, ns: str, key: str, kind: str) -> bytes | None:
        pending = self._pending.get(ns, {})
        entry = pending[key] if key in pending else self._nvs.get(ns, {}).get(key)
        if entry is None or entry[0] != kind:
            return None
        return str(entry[1]).encode() if kind == "i" else bytes.fromhex(entry[1])

    def nvs_set(self, ns: str, key: str, kind: str, data: bytes) -> bool:
        """Kept until commit or reset; False when the partition is full."""
        used = sum(32 + len(str(e[1])) for t in self._nvs.values() for e in t.values())
        if used + len(data) > self.nvs_bytes:
            return False
        value = int(data) if kind == "i" else data.hex()
        self._pending.setdefault(ns, {})[key] = [kind, value]
        return True

    def nvs_erase(self, ns: str, key: str) -> bool:
        if key not in self._nvs.get(ns, {}) and not self._pending.get(ns, {}).get(key):
            return False
        self._pending.setdefault(ns, {})[key] = None
        return True

    def nvs_commit(self, ns: str) -> None:
        table = self._nvs.setdefault(ns, {})
        for key, entry in self._pending.pop(ns, {}).items():
            if entry is None:
                table.pop(key, None)
            else:
                table[key] = entry
        self._keep_nvs()

    def _keep_nvs(self) -> None:
        if self.nvs_file:
            tmp = self.nvs_file.with_suffix(".tmp")
            tmp.write_text(json.dumps(self._nvs))
            os.replace(tmp, self.nvs_file)

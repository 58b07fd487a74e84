"""Simulated chips on a virtual board's wires: they see bytes and bits, and know of no driver.

Bme280 sits on an I2C bus, Ds18b20 on a Wire (1-Wire). `now()` is in seconds. What they measure are
functions, so a world's values reach them at the moment of the measurement.
"""

import functools
import struct
from collections.abc import Callable
from operator import and_

# The data sheet's example (BMP280, 3.12) and humidity figures in the middle of what is sold.
_T = (27504, 26435, -1000)
_P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
_H1, _H2, _H3, _H4, _H5, _H6 = 75, 370, 0, 313, 50, 30


def _fine(raw: float) -> float:
    """t_fine in the data sheet's floating point."""
    a = (raw / 16384 - _T[0] / 1024) * _T[1]
    b = (raw / 131072 - _T[0] / 8192) ** 2 * _T[2]
    return a + b


def _pascal(raw: float, fine: float) -> float:
    v1 = fine / 2 - 64000
    v2 = v1 * v1 * _P[5] / 32768 + v1 * _P[4] * 2
    v2 = v2 / 4 + _P[3] * 65536
    v1 = (_P[2] * v1 * v1 / 524288 + _P[1] * v1) / 524288
    v1 = (1 + v1 / 32768) * _P[0]
    p = (1048576 - raw - v2 / 4096) * 6250 / v1
    return p + (_P[8] * p * p / 2147483648 + p * _P[7] / 32768 + _P[6]) / 16


def _percent(raw: float, fine: float) -> float:
    h = fine - 76800
    h = (raw - (_H4 * 64 + _H5 / 16384 * h)) * (
        _H2 / 65536 * (1 + _H6 / 67108864 * h * (1 + _H3 / 67108864 * h))
    )
    return h * (1 - _H1 * h / 524288)


def _inverse(f: Callable[[float], float], wanted: float, top: int) -> int:
    """The raw value below `top` for which f comes nearest to `wanted`."""
    low, high = 0, top - 1
    rising = f(high) > f(low)
    while low < high:
        middle = (low + high) // 2
        if (f(middle) < wanted) == rising:
            low = middle + 1
        else:
            high = middle
    return low


class Bme280:
    """Registers as in BST-BME280-DS002 5.3. `chip_id` 0x58: a BMP280. Faults: `silent` (does not
    acknowledge its address), `nacks` (so many data bytes are not acknowledged), `asleep` (it takes
    the order to measure and does not).
    """

    chip_id = 0x60
    silent = asleep = False
    nacks = 0

    def __init__(self, temperature, humidity, pressure, now):
        """Functions: °C, percent, hPa, seconds."""
        self._air = temperature, humidity, pressure
        self._now = now
        self._at = 0
        self._reset()

    def _reset(self):
        r = self._reg = bytearray(256)
        r[0x88:0xA0] = struct.pack("<Hhh", *_T) + struct.pack("<Hhhhhhhhh", *_P)
        r[0xA1] = _H1
        r[0xE1:0xE8] = struct.pack(
            "<hBBBBb", _H2, _H3, _H4 >> 4, _H4 & 15 | (_H5 & 15) << 4, _H5 >> 4, _H6
        )
        r[0xD0] = self.chip_id
        r[0xF7:0xFF] = bytes.fromhex("8000008000008000")
        self._damp = 0
        self._ready = self._now() + 0.002
        self._waiting = False

    def write(self, data: bytes) -> int:
        """Bytes that it acknowledges."""
        if self.nacks and data:
            self.nacks -= 1
            return 0
        if data:
            self._at = data[0]
        pairs = bytes((self._at,)) + data[1:]
        for i in range(0, len(pairs) - 1, 2):  # register, value, register, value
            self._set(pairs[i], pairs[i + 1])
        return len(data)

    def _set(self, register, value):
        if register == 0xE0 and value == 0xB6:
            self._reset()
        elif register in (0xF2, 0xF4, 0xF5):
            self._reg[register] = value
            if register == 0xF4:
                self._damp = self._reg[0xF2] & 7  # counts from now on
                if value & 3 and not self.asleep:
                    self._ready = self._now() + 0.0093
                    self._waiting = True

    def read(self, n: int) -> bytes:
        self._finish()
        first = self._at
        self._at = (self._at + n) & 255
        return bytes(self._reg[(first + i) & 255] for i in range(n))

    def _finish(self):
        r = self._reg
        r[0xD0] = self.chip_id
        busy = self._now() < self._ready
        r[0xF3] = (8 if self._waiting else 1) if busy else 0
        if busy or not self._waiting:
            return
        self._waiting = False
        r[0xF4] &= 0xFC  # forced: back to sleep
        t, h, p = (f() for f in self._air)
        raw_t = _inverse(lambda x: _fine(x) / 5120, t, 1 << 20) if r[0xF4] >> 5 else 0x80000
        fine = _fine(raw_t)
        raw_p = _inverse(lambda x: _pascal(x, fine), p * 100, 1 << 20)
        raw_p = raw_p if r[0xF4] >> 2 & 7 else 0x80000
        raw_h = _inverse(lambda x: _percent(x, fine), h, 1 << 16) if self._damp else 0x8000
        r[0xF7:0xFA] = (raw_p << 4).to_bytes(3, "big")
        r[0xFA:0xFD] = (raw_t << 4).to_bytes(3, "big")
        r[0xFD:0xFF] = raw_h.to_bytes(2, "big") if self.chip_id == 0x60 else b"\0\0"


def crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        for i in range(8):
            crc = crc >> 1 ^ (0x8C if (crc ^ byte >> i) & 1 else 0)
    return crc


class Ds18b20:
    """`rom`: its 7 bytes as hex; the check sum is added. `value()`: °C. `conversion_s`: how long
    it takes. Faults: `absent`, `bad_crc` (so many answers with a wrong bit).
    """

    conversion_s = 0.75
    absent = False
    bad_crc = 0

    def __init__(self, rom: str, value: Callable[[], float], now: Callable[[], float]):
        first = bytes.fromhex(rom)[:7]
        self.rom = first + bytes((crc8(first),))
        self.value = value
        self._now = now
        self.lost_power()

    def lost_power(self) -> None:
        """85 °C, until it has measured."""
        self._raw, self._six = 0x0550, 0x0C
        self._ready = None

    def convert(self) -> None:
        self._ready = self._now() + self.conversion_s

    @property
    def busy(self) -> bool:
        if self._ready is not None and self._now() >= self._ready:
            self._ready = None
            self._raw = max(-55 * 16, min(125 * 16, round(self.value() * 16)))
            self._six = 16 - (self._raw & 15)
        return self._ready is not None

    def scratch(self) -> bytes:
        _ = self.busy
        raw = (self._raw & 0xFFFF).to_bytes(2, "little")
        b = raw + bytes((0x4B, 0x46, 0x7F, 0xFF, self._six, 0x10))
        b += bytes((crc8(b),))
        if self.bad_crc:
            self.bad_crc -= 1
            b = b[:3] + bytes((b[3] ^ 4,)) + b[4:]
        return b


class Wire:
    """The bits of a 1-Wire bus. `stuck`: held low, which looks like somebody at a reset."""

    def __init__(self, probes: list[Ds18b20] | None = None):
        self.probes = probes or []
        self.stuck = False
        self.resets = 0
        self._state = "idle"
        self._got: list[int] = []
        self._out: list[int] = []
        self._chosen: list[Ds18b20] = []

    def _there(self):
        return [p for p in self.probes if not p.absent]

    def reset(self) -> bool:
        self.resets += 1
        self._state, self._got, self._out = "rom", [], []
        self._chosen = self._there()
        return self.stuck or bool(self._chosen)

    def write_bit(self, bit: int) -> None:
        if self._state == "search":
            i = self._at
            self._chosen = [p for p in self._chosen if p.rom[i >> 3] >> (i & 7) & 1 == bit]
            self._at, self._step = i + 1, 0
            if self._at == 64:
                self._state = "idle"
            return
        self._got.append(bit)
        if self._state == "match" and len(self._got) == 64:
            rom = self._taken()
            self._chosen = [p for p in self._chosen if p.rom == rom]
            self._state = "command"
        elif self._state in ("rom", "command") and len(self._got) == 8:
            self._command(self._taken()[0])

    def _taken(self) -> bytes:
        bits, self._got = self._got, []
        return bytes(
            sum(b << k for k, b in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8)
        )

    def _command(self, code):
        if self._state == "rom":
            self._state = {0xF0: "search", 0x55: "match", 0xCC: "command"}.get(code, "idle")
            self._at = self._step = 0
            return
        self._state = "idle"
        if code == 0x44:
            self._state = "converting"
            for p in self._chosen:
                p.convert()
        elif code == 0xBE and self._chosen:
            every = [p.scratch() for p in self._chosen]
            data = bytes(functools.reduce(and_, x) for x in zip(*every, strict=True))
            self._out = [byte >> k & 1 for byte in data for k in range(8)]

    def read_bit(self) -> int:
        if self.stuck:
            return 0
        if self._state == "search":
            i = self._at
            bits = [p.rom[i >> 3] >> (i & 7) & 1 for p in self._chosen]
            self._step += 1
            return int(all(bits) if self._step == 1 else all(not b for b in bits))
        if self._state == "converting":
            return int(not any([p.busy for p in self._chosen]))
        return self._out.pop(0) if self._out else 1

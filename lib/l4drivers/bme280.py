# floor 9: firmware
# BME280 over I2C: temperature, humidity, pressure. RAM: 4.5 kB.
"""BME280(scl, sda, address=0x76, i2c=None)
    .temperature() -> °C, .humidity() -> %, .pressure() -> hPa

One measurement (10 ms, each value once, no filter) serves all three when they are read within 1 s;
between measurements the chip sleeps. `i2c`: a machine.I2C that others use, too; else one is made.
A BMP280 works as well, but for the humidity.

Compensation in whole numbers as in the data sheet, so that every board says the same: 0.01 °C,
1/256 Pa, 1/1024 %. Source: Bosch BST-BME280-DS002 4.2.3 and 5.
"""

import struct
import time

from l4mesh import ticks
from l4mesh_io import clock

_FRESH_MS = 1000


def temperature(raw, cal):
    """(hundredths of °C, t_fine) of a raw value; `cal`: T1..T3, P1..P9, H1..H6."""
    v1 = ((raw >> 3) - (cal[0] << 1)) * cal[1] >> 11
    v2 = (raw >> 4) - cal[0]
    v2 = ((v2 * v2 >> 12) * cal[2]) >> 14
    fine = v1 + v2
    return (fine * 5 + 128) >> 8, fine


def pressure(raw, cal, fine):
    """Pa * 256. These numbers are larger than a small int: garbage for 1 kB."""
    v1 = fine - 128000
    v2 = v1 * v1 * cal[8] + ((v1 * cal[7]) << 17) + (cal[6] << 35)
    v1 = (v1 * v1 * cal[5] >> 8) + ((v1 * cal[4]) << 12)
    v1 = ((1 << 47) + v1) * cal[3] >> 33
    if v1 <= 0:
        return 0
    p = (((1048576 - raw) << 31) - v2) * 3125 // v1
    v1 = cal[11] * (p >> 13) * (p >> 13) >> 25
    v2 = cal[10] * p >> 19
    return ((p + v1 + v2) >> 8) + (cal[9] << 4)


def humidity(raw, cal, fine):
    """Percent * 1024."""
    v = fine - 76800
    a = ((raw << 14) - (cal[15] << 20) - cal[16] * v + 16384) >> 15
    b = ((v * cal[17] >> 10) * ((v * cal[14] >> 11) + 32768) >> 10) + 2097152
    v = a * ((b * cal[13] + 8192) >> 14)
    v -= ((v >> 15) * (v >> 15) >> 7) * cal[12] >> 4
    return min(max(v, 0), 419430400) >> 12


def calibration(low, high):
    """`low`: registers 0x88 to 0xA1; `high`: 0xE1 to 0xE7."""
    h4 = high[3] << 4 | high[4] & 15
    h5 = high[5] << 4 | high[4] >> 4
    h4 -= (h4 & 2048) << 1
    h5 -= (h5 & 2048) << 1
    h6 = high[6] - ((high[6] & 128) << 1)
    return struct.unpack_from("<HhhHhhhhhhhh", low) + (
        low[25], struct.unpack_from("<h", high)[0], high[2], h4, h5, h6,
    )  # fmt: skip


class BME280:
    def __init__(self, scl, sda, address=0x76, i2c=None):
        self._scl = scl
        self._sda = sda
        self._address = address
        self._i2c = i2c
        self._cal = None
        self._damp = True  # it has a sensor for the humidity
        self._at = None
        self._values = None

    def temperature(self):
        return self._fresh()[0] / 100

    def pressure(self):
        return self._fresh()[1] / 25600

    def humidity(self):
        v = self._fresh()
        if not self._damp:
            raise OSError("The chip at 0x%02x is a BMP280, which has no humidity." % self._address)
        return v[2] / 1024

    def _fresh(self):
        now = clock.now()
        if self._at is None or not 0 <= ticks.diff(now, self._at) < _FRESH_MS:
            self._at = None
            try:
                if self._cal is None:
                    self._begin()
                self._values = self._measure()
            except Exception as e:
                self._cal = None  # another one may be there when it is plugged in again
                if isinstance(e, OSError) and e.args and isinstance(e.args[0], int):
                    raise OSError(self._silent(e.args[0]))
                raise
            self._at = now
        return self._values

    def _get(self, register, n):
        return self._i2c.readfrom_mem(self._address, register, n)

    def _put(self, register, value):
        self._i2c.writeto_mem(self._address, register, bytes((value,)))

    def _begin(self):
        if self._i2c is None:
            from machine import I2C, Pin

            self._i2c = I2C(0, scl=Pin(self._scl), sda=Pin(self._sda), freq=100000)
        chip = self._get(0xD0, 1)[0]
        if chip not in (0x60, 0x58):
            raise OSError(
                "What answers at 0x%02x is no BME280: its chip id is 0x%02x, not 0x60."
                % (self._address, chip)
            )
        self._damp = chip == 0x60
        self._put(0xE0, 0xB6)  # reset
        self._wait(0xF3, 1, 5)  # until it has copied its calibration
        high = self._get(0xE1, 7) if self._damp else bytes(7)
        self._cal = calibration(self._get(0x88, 26), high)
        if not self._cal[0] or not self._cal[3]:
            raise OSError("The BME280 at 0x%02x has no calibration: broken?" % self._address)

    def _wait(self, register, bit, ms):
        for _ in range(6):
            time.sleep(ms / 1000)
            if not self._get(register, 1)[0] & bit:
                return
        raise OSError("The BME280 at 0x%02x does not get ready." % self._address)

    def _measure(self):
        if self._damp:
            self._put(0xF2, 1)
        self._put(0xF4, 0x25)  # all once, then sleep
        self._wait(0xF3, 8, 10)
        d = self._get(0xF7, 8 if self._damp else 6)
        t = d[3] << 12 | d[4] << 4 | d[5] >> 4
        p = d[0] << 12 | d[1] << 4 | d[2] >> 4
        h = d[6] << 8 | d[7] if self._damp else 0
        if t == 0x80000 or p == 0x80000 or self._damp and h == 0x8000:
            raise OSError("The BME280 at 0x%02x did not measure: check its power." % self._address)
        t, fine = temperature(t, self._cal)
        return t, pressure(p, self._cal, fine), humidity(h, self._cal, fine) if self._damp else 0

    def _silent(self, number):
        where = "pins %d (SCL) and %d (SDA)" % (self._scl, self._sda)
        if number != 19:  # ENODEV: nobody acknowledged
            return "I2C on %s is stuck (error %d): a wire held low, or no pull-ups." % (
                where, number,
            )  # fmt: skip
        try:
            others = self._i2c.scan()
        except OSError:
            others = []
        if others:
            return "No BME280 at 0x%02x on %s; there: %s." % (
                self._address, where, ", ".join(["0x%02x" % a for a in others]),
            )  # fmt: skip
        return "No BME280 on %s: check power, SCL and SDA (swapped?)." % where

"""BME280: the data sheet's arithmetic, and what is said when something is wrong."""

from l4drivers.bme280 import BME280, calibration, humidity, pressure, temperature

# Example of the data sheet (BMP280, 3.12; the formulas are the same), humidity as chips have it.
CAL = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
CAL += (75, 370, 0, 313, 50, 30)


def test_the_example_of_the_data_sheet():
    t, fine = temperature(519888, CAL)
    assert (t, fine) == (2508, 128422)
    # 100653.25 Pa; the sheet prints 25767236, which is its floating point's.
    assert pressure(415148, CAL, fine) == 25767233


def test_below_zero_and_at_the_ends():
    t, fine = temperature(300000, CAL)
    assert t == -4436 and fine == -227131
    assert pressure(415148, (27504, 26435, -1000, 0) + CAL[4:], 128422) == 0  # no division by 0
    assert humidity(0, CAL, 128422) == 0
    assert humidity(65535, CAL, 128422) == 102400


def by_float(raw, fine):
    """The data sheet's floating point (8.1)."""
    h = fine - 76800.0
    h = (raw - (CAL[15] * 64.0 + CAL[16] / 16384.0 * h)) * (
        CAL[13] / 65536.0 * (1.0 + CAL[17] / 67108864.0 * h * (1.0 + CAL[14] / 67108864.0 * h))
    )
    h *= 1.0 - CAL[12] * h / 524288.0
    return min(max(h, 0.0), 100.0)


def test_humidity_in_whole_numbers_is_that_of_the_floating_point():
    for fine in (-100000, 0, 76800, 128422, 300000):
        for raw in range(18000, 42000, 1500):
            assert abs(humidity(raw, CAL, fine) / 1024 - by_float(raw, fine)) < 0.02, (raw, fine)


def test_calibration_with_signs():
    low = bytes(range(1, 25)) + b"\0\x4b"
    cal = calibration(low, b"\x72\x01\x00\x13\x29\x03\x1e")
    assert cal[:4] == (0x0201, 0x0403, 0x0605, 0x0807) and len(cal) == 18
    assert cal[12:] == (75, 370, 0, 313, 50, 30)
    cal = calibration(low, b"\xff\xff\x00\xff\xff\xff\xff")
    assert cal[13:] == (-1, 0, -1, -1, -1)
    assert calibration(b"\xff" * 26, bytes(7))[:5] == (65535, -1, -1, 65535, -1)


class I2c:
    """Registers that answer at once."""

    def __init__(self, chip=0x60):
        self.r = bytearray(256)
        self.r[0xD0] = chip
        self.r[0x88:0xA2] = bytes.fromhex(
            "706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c67017004b"
        )  # the example
        self.r[0xE1:0xE8] = b"\x72\x01\x00\x13\x29\x03\x1e"
        self.r[0xF7:0xFF] = bytes.fromhex("655ac07eed007000")
        self.error = None
        self.there = [0x76]
        self.writes = []
        self.busy = 0

    def scan(self):
        return self.there

    def readfrom_mem(self, address, register, n):
        assert address == 0x76
        if self.error:
            raise OSError(self.error)
        if register == 0xF3:
            self.busy -= 1
            return bytes((8 if self.busy > 0 else 0,))
        return bytes(self.r[register : register + n])

    def writeto_mem(self, address, register, data):
        if self.error:
            raise OSError(self.error)
        self.writes.append((register, data[0]))


def said(chip, read="temperature"):
    try:
        getattr(chip, read)()
    except OSError as e:
        return e.args[0]
    raise AssertionError("nothing was said")


def test_one_measurement_serves_all_three():
    i = I2c()
    c = BME280(22, 21, i2c=i)
    assert c.temperature() == 25.08
    assert abs(c.pressure() - 1006.5327) < 0.001
    assert 0 < c.humidity() < 100
    assert i.writes == [(0xE0, 0xB6), (0xF2, 1), (0xF4, 0x25)]


def test_a_bmp280_has_no_humidity():
    i = I2c(0x58)
    c = BME280(22, 21, i2c=i)
    assert c.temperature() == 25.08
    assert "is a BMP280, which has no humidity" in said(c, "humidity")
    assert (0xF2, 1) not in i.writes


def test_sentences():
    i = I2c(0x61)
    c = BME280(22, 21, i2c=i)
    assert "its chip id is 0x61, not 0x60" in said(c)
    i.r[0xD0] = 0
    assert "its chip id is 0x00" in said(c)
    i.r[0xD0] = 0x60
    i.r[0xF7:0xFF] = bytes.fromhex("8000008000008000")
    assert "did not measure" in said(c)
    i.busy = 1000
    assert "does not get ready" in said(c)
    i.busy = 0
    i.error = 19
    i.there = []
    assert said(c) == (
        "No BME280 on pins 22 (SCL) and 21 (SDA): check power, SCL and SDA (swapped?)."
    )
    i.there = [0x3C, 0x77]
    assert "No BME280 at 0x76" in said(c) and "there: 0x3c, 0x77." in said(c)
    i.error = 116
    assert "is stuck (error 116)" in said(c)
    i.error = None
    i.r[0xF7:0xFF] = bytes.fromhex("655ac07eed007000")
    assert c.temperature() == 25.08  # plugged in again
    i2 = I2c()
    i2.r[0x88:0xA2] = bytes(26)
    assert "no calibration" in said(BME280(22, 21, i2c=i2))

# floor 8: effects
# Voltage at a pin. RAM: 1.5 kB.
"""Voltage(pin, divider=1, samples=8)    .read() -> V, the mean of some samples

The ADC of an ESP32 measures 0.15 to about 3.1 V, and is calibrated by what the factory burned in.
For more, put two resistors in front: `divider` is (R1 + R2) / R2. Your battery as a percentage is
`board.battery` when config.json has battery_pin.
"""


class Voltage:
    def __init__(self, pin, divider=1, samples=8):
        self._pin = pin
        self._divider = divider
        self._samples = samples
        self._adc = None

    def read(self):
        pin = self._pin
        if self._adc is None:
            from machine import ADC, Pin

            try:
                self._adc = ADC(Pin(pin), atten=ADC.ATTN_11DB)
            except ValueError:
                raise OSError(
                    "Pin %d can't measure a voltage. On an ESP32 32 to 39 can, on an S3 1 to 10, "
                    "on a C3 0 to 4, on a C6 0 to 6." % pin
                )
        uv = 0
        try:
            for _ in range(self._samples):
                uv += self._adc.read_uv() // self._samples
        except OSError:
            raise OSError(
                "Pin %d can't measure while WiFi is on: it hangs on ADC2. Use one of ADC1, on an "
                "ESP32 32 to 39." % pin
            )
        return uv * self._divider / 1000000

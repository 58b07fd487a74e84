# floor 8: effects
# The temperature inside the chip. RAM: 0.9 kB.
"""temperature() -> °C. The die, not the air: 10 to 30 °C above it, and within 5 °C of the truth at
best. S3, C3 and C6 measure in °C, the ESP32 of old in °F.
"""


def temperature():
    try:
        from esp32 import mcu_temperature
    except ImportError:
        try:
            from esp32 import raw_temperature
        except ImportError:
            raise OSError("This chip's MicroPython has no temperature of its own.")
        return (raw_temperature() - 32) / 1.8
    return mcu_temperature()

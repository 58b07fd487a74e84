"""The virtual ESP32: a ROM loader that the real esptool flashes, joined to the virtual board.

VChip is the chip on its dev board; firmware_bin() makes a double of MicroPython's firmware file.
`python -m l4tools.vchip --chip esp32c3 --folder DIR` runs one by itself.
"""

from l4tools.vchip.chip import VChip
from l4tools.vchip.firmware import app_bin, firmware_bin, firmware_parts

__all__ = ["VChip", "app_bin", "firmware_bin", "firmware_parts"]

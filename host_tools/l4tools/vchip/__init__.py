"""The virtual ESP32: a ROM loader that the real esptool flashes, joined to the virtual board.

from l4tools.vchip.chip import VChip            the chip on its dev board
from l4tools.vchip.firmware import firmware_bin  a double of MicroPython's firmware file
`python -m l4tools.vchip --chip esp32c3 --folder DIR` runs one by itself.
"""

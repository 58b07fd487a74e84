# MicroPython's own ESP32_GENERIC_C3 with our modules frozen in. Paths begin at ports/esp32.
include(boards/ESP32_GENERIC_C3/mpconfigboard.cmake)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)

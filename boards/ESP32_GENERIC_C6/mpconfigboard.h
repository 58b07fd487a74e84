// MicroPython's own settings for this board, nothing else.
#include "boards/ESP32_GENERIC_C6/mpconfigboard.h"

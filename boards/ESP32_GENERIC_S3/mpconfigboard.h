// MicroPython's own settings for this board, nothing else.
#include "boards/ESP32_GENERIC_S3/mpconfigboard.h"

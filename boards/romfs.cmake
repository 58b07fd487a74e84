# Variant `romfs` of every ESP32 board: our modules in a partition of their own, run from flash where
# they lie, replaced by `mpremote romfs deploy` without a new firmware. MicroPython 1.26 or later.
list(APPEND SDKCONFIG_DEFAULTS ${MICROPY_BOARD_DIR}/../sdkconfig.romfs)
list(APPEND MICROPY_DEF_BOARD MICROPY_VFS_ROM=1)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/../manifest_romfs.py)

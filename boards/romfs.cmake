# Variant `romfs` of every ESP32 board: our modules in a partition of their own, run from flash where
# they lie, replaced by `mpremote romfs deploy` without a new firmware. MicroPython 1.26 or later.
get_filename_component(L4_TABLE ${MICROPY_BOARD_DIR}/../partitions-romfs.csv ABSOLUTE)
file(WRITE ${CMAKE_BINARY_DIR}/sdkconfig.romfs
    "CONFIG_PARTITION_TABLE_CUSTOM=y\nCONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${L4_TABLE}\"\n")
list(APPEND SDKCONFIG_DEFAULTS ${CMAKE_BINARY_DIR}/sdkconfig.romfs)
list(APPEND MICROPY_DEF_BOARD MICROPY_VFS_ROM=1)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/../manifest_romfs.py)

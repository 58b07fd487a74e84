include(${MICROPY_BOARD_DIR}/../romfs.cmake)

# Frozen firmware: what MicroPython freezes for this port, then ours, made small (`make firmware`).
include("$(PORT_DIR)/boards/manifest.py")
freeze("../../build/frozen/ESP32_GENERIC_C3", opt=3)

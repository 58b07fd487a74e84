# floor 9: firmware
# Runs first, after each reset: counts the boot, picks the files to start with. RAM: none.
# An error here would skip main.py, so none gets out.
try:
    import os

    import micropython

    micropython.kbd_intr(-1)  # a packet that comes now is not to end it (l4mesh_io/serial.py)
    import safe_mode

    if not safe_mode.begin() and "ota" in os.listdir("/"):
        import ota_boot

        ota_boot.pick()
except Exception as e:
    print("boot:", repr(e))

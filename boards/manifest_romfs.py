# Variant romfs: MicroPython mounts the partition and extends sys.path by itself, but starts boot.py
# and main.py only from the file system or from frozen code. So these two are frozen.
include("$(PORT_DIR)/boards/manifest.py")
freeze("../firmware", ("boot.py", "main.py"), opt=3)

# Variant romfs: MicroPython mounts the partition and extends sys.path, but starts boot.py and
# main.py from the file system or frozen code only. So these two are frozen.
include("$(PORT_DIR)/boards/manifest.py")
freeze("../firmware", ("boot.py", "main.py"), opt=3)

# A unix port with our modules frozen in: `make firmware BOARD=UNIX`, then `micropython -m main`.
include("$(PORT_DIR)/variants/standard/manifest.py")
freeze("../../build/frozen/UNIX", opt=3)

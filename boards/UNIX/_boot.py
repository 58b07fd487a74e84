# What the ESP32 port does before boot.py: flash as /, stand-ins in place, then the boot files.
"""Started as `micropython -c "import _boot"` with the compiled stand-ins on MICROPYPATH.

The stand-ins are loaded first, as a chip's C modules are there from the start; after that nothing
of the host's file system can be reached. L4_RAW: after a soft reset by a tool only boot.py runs.
L4_FLASH_AT, L4_FLASH_SIZE: where in the flash the file system is (default: all of it).
L4_ROM: a ROMFS image, mounted as firmware of the variant romfs does it; its boot.py and main.py
stand for those frozen into that firmware, which come before files of the same names.
"""

import os
import sys
import time

import micropython
import vfs

import __main__


class Flash:
    """The flash chip: a file. Writes are in the host's page cache at once, so a power cut
    (SIGKILL) leaves what was written before it.
    """

    def __init__(self, path):
        self._f = open(path, "r+b")
        self._at = int(os.getenv("L4_FLASH_AT") or 0)
        size = os.getenv("L4_FLASH_SIZE")
        self._n = (int(size) if size else self._f.seek(0, 2) - self._at) // 4096

    def readblocks(self, n, buf, off=0):
        self._f.seek(self._at + n * 4096 + off)
        self._f.readinto(buf)

    def writeblocks(self, n, buf, off=0):
        self._f.seek(self._at + n * 4096 + off)
        self._f.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self._n
        if op == 5:
            return 4096
        return 0


def _setup(flash):
    """What the port does with a file system that does not mount: see its inisetup.py."""
    buf = bytearray(4096)
    flash.readblocks(0, buf)
    while buf != b"\xff" * 4096:
        micropython.kbd_intr(3)
        print("The filesystem appears to be corrupted. If you had important data there, you")
        print("may want to make a flash snapshot to try to recover it. Otherwise, perform")
        print("factory reprogramming of MicroPython firmware (completely erase flash, followed")
        print("by firmware programming).\n")
        time.sleep(3)
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash, readsize=32, progsize=32, lookahead=32, mtime=True), "/")
    with open("boot.py", "w") as f:
        f.write(
            "# This file is executed on every boot (including wake-boot from deepsleep)\n"
            "#import esp\n#esp.osdebug(None)\n#import webrepl\n#webrepl.start()\n"
        )


def _run(name):
    """Run a file of the flash as the port does; False when it ended with an error."""
    try:
        os.stat(name)
    except OSError:
        return True
    micropython.kbd_intr(3)  # as the port does it: only while a file runs
    try:
        execfile(name, __main__.__dict__)
    except SystemExit as e:
        raise e  # a soft reset
    except BaseException as e:
        sys.print_exception(e)
        return False
    finally:
        micropython.kbd_intr(-1)
    return True


def start():
    micropython.kbd_intr(-1)
    import socket  # noqa: F401

    import _hw
    import dht  # noqa: F401
    import ds18x20  # noqa: F401
    import esp32  # noqa: F401
    import machine  # noqa: F401
    import network  # noqa: F401
    import onewire  # noqa: F401

    if os.getenv("L4_RADIO"):
        import bluetooth  # noqa: F401

    if _hw.ask("clk"):  # no date at power-on
        sys.modules["time"] = __import__("_unset")

    flash = Flash(os.getenv("L4_FLASH"))
    rom = os.getenv("L4_ROM")
    if rom:
        with open(rom, "rb") as f:
            rom = vfs.VfsRom(f.read())
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(flash, readsize=32, progsize=32, lookahead=32, mtime=True), "/")
    except OSError:
        try:
            _setup(flash)
        except KeyboardInterrupt as e:
            micropython.kbd_intr(-1)
            sys.print_exception(e)
            os.putenv("MICROPYINSPECT", "1")
            return
    sys.path[:] = ["", ".frozen", "/lib"]
    if rom:
        vfs.mount(rom, "/rom")
        sys.path[2:2] = ["/rom", "/rom/lib"]  # MicroPython's order: /lib comes last
    del sys.modules["_boot"]
    frozen = "/rom/" if rom else ""
    if _run(frozen + "boot.py") and not os.getenv("L4_RAW"):
        _run(frozen + "main.py")
    os.putenv("MICROPYINSPECT", "1")  # go on with the REPL; not after sys.exit()


start()

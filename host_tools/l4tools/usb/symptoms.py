"""What the text says that a board prints when it does not answer: a cause and the next step.

The texts are those of the ROMs (ESP32, S3, C3, C6), of the second bootloader and of MicroPython's
start; `diagnose(seen)` looks at the last few KiB of what came.
"""

import re

DOWNLOAD = (
    "The board waits in its ROM's download mode, where MicroPython does not run. Press its reset "
    "button (EN) without holding BOOT; to put firmware onto it, use l4 flash."
)
NO_FIRMWARE = (
    "The board has no firmware that starts: its ROM finds no valid program in flash. Run l4 flash."
)
NO_APP = (
    "The board's bootloader finds no program that it can start. Run l4 flash, which writes the "
    "firmware anew."
)
CORRUPT = (
    "The board's file system is damaged, MicroPython cannot mount it. Run l4 flash --erase: it "
    "writes a new one (identity keys survive in NVS)."
)
BROWNOUT = (
    "The board resets over and over because its supply voltage breaks down. Use another cable or "
    "socket (no hub), and unplug what the board feeds."
)
RESETS = (
    "The board resets over and over. Run l4 flash, which writes the firmware anew; if that does "
    "not help, try another cable."
)
OTHER_PYTHON = (
    "The board runs CircuitPython, not MicroPython. Run l4 flash, which writes MicroPython."
)
SILENT = (
    "The board does not answer. Check that it has power and that this is its port, press its "
    "reset button, and try another cable (many only charge). If it never ran MicroPython, run "
    "l4 flash."
)
BUSY = (
    "The program on the board keeps running in spite of Ctrl-C. Press the board's reset button "
    "while this command starts; if that does not help, l4 flash --erase puts the program away."
)
GARBAGE = (
    "What comes from the board is not text. Check that the port is the board's (115200 baud), "
    "and try another cable."
)

_SIGNS = (
    (r"waiting for download|boot:0x[0-9a-f]+ \([^)]*DOWNLOAD", DOWNLOAD),
    (r"appears? to\s+be corrupted|filesystem .{0,80}looks corrupt", CORRUPT),
    (r"Brownout detector was triggered", BROWNOUT),
    (r"invalid header: 0x|Invalid image block|ets_main\.c|flash read err", NO_FIRMWARE),
    (r"No bootable app partitions|boot: Factory app partition is not bootable", NO_APP),
    (r"Adafruit CircuitPython", OTHER_PYTHON),
)
_RESET = re.compile(r"rst:0x[0-9a-f]+ \(")


def diagnose(seen: bytes) -> str | None:
    """The sentence for the newest thing recognised, or None when nothing is."""
    text = seen.decode("utf-8", "replace")
    best, where = None, -1
    for pattern, sentence in _SIGNS:
        for match in re.finditer(pattern, text, re.DOTALL):
            if match.start() > where:
                best, where = sentence, match.start()
    if best is None and len(_RESET.findall(text)) >= 3:
        return RESETS
    return best


def of_silence(seen: bytes) -> str:
    """Why a board that should have given a prompt did not."""
    found = diagnose(seen)
    if found:
        return found
    if not seen.strip(b"\0\r\n \x01\x02\x03\x04"):
        return SILENT
    odd = sum(b > 0x7E or (b < 0x20 and b not in b"\r\n\t\x1b\x04") for b in seen)
    return GARBAGE if odd * 3 > len(seen) else BUSY

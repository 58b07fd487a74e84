"""What can go wrong on a bench, to be switched on at any time: `chip.faults.wrong_md5 = 1`.

Each counts down by itself; -1 goes on for ever. A board that resets while a copy runs needs no
switch: arm its watchdog. The wrong chip, 2 MiB of flash: make another VChip.
"""

from dataclasses import dataclass


@dataclass
class Faults:
    garbage: int = 0  # replies that come after line noise
    noise: bytes = b"\x00\xff\x80\xf8~\x1e"
    wrong_md5: int = 0  # checksums that a loader gets wrong
    silent: bool = False  # dead cable: nothing comes back, nothing goes in
    unplug_after: int | None = None  # bytes from the host from now on until the cable is pulled
    reset_after: int | None = None  # the same until the chip resets (brown-out)
    bytes_per_s: int = 0  # slow line, both ways; 0: as fast as it goes

    def take(self, name: str) -> bool:
        """Whether this fault strikes now."""
        left = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left != 0

    def counted(self, n: int) -> tuple[int, str | None]:
        """`n` bytes came from the host: (how many of them arrive, what happens then)."""
        for name, event in (("unplug_after", "unplug"), ("reset_after", "reset")):
            left = getattr(self, name)
            if left is None:
                continue
            if n >= left:
                setattr(self, name, None)
                return left, event
            setattr(self, name, left - n)
        return n, None

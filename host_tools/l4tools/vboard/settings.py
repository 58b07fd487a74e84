"""boards/UNIX/board.toml, read once."""

import functools
import tomllib

from l4tools.paths import BOARDS

UNIX = BOARDS / "UNIX"


@functools.cache
def settings() -> dict:
    """The tables of board.toml: flash, heap, pins, radio."""
    return tomllib.loads((UNIX / "board.toml").read_text())

"""What every command is given: how to print, which network, and its passphrase.

A command gets it as `ctx.obj`. The passphrase comes from --passphrase-file, else from the
environment (L4_PASSPHRASE), else from the person at the terminal; it is never an argument, since
arguments can be read by every user of the machine.
"""

import getpass
import os
import sys
from pathlib import Path

from .errors import ToolError
from .output import Out


class Session:
    """One run of `l4`: the global options, and what follows from them."""

    def __init__(self, out: Out) -> None:
        self.out = out
        self.network_name: str | None = None
        self.passphrase_file: Path | None = None

    @property
    def verbose(self) -> bool:
        return self.out.verbose

    def load_network(self, name: str | None = None):
        """The Network `name`, else the one of --network, else the only one there is."""
        from . import network  # late: cryptography is slow to load, `l4 --help` needs none

        path = network.find(name or self.network_name)
        return network.Network.load(path, self.passphrase(f"Passphrase of {path.stem}: "))

    def passphrase(self, prompt: str = "Passphrase: ", new: bool = False) -> str:
        """The passphrase; a person who chooses a new one is asked twice."""
        if self.passphrase_file is not None:
            return _not_empty(_first_line(self.passphrase_file), f"{self.passphrase_file}")
        if "L4_PASSPHRASE" in os.environ:
            return _not_empty(os.environ["L4_PASSPHRASE"], "L4_PASSPHRASE")
        if not sys.stdin.isatty():
            raise ToolError(
                "A passphrase is needed and there is no terminal to ask for it. "
                "Pass --passphrase-file FILE or set L4_PASSPHRASE."
            )
        try:
            phrase = _not_empty(getpass.getpass(prompt, self.out.stderr), "What was typed")
            if new and getpass.getpass("The same again: ", self.out.stderr) != phrase:
                raise ToolError("The two passphrases differ. Nothing was written; start again.")
        except EOFError:
            raise ToolError("No passphrase was typed. Nothing was done; start again.") from None
        return phrase


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as f:
            lines = f.read(4096).decode("utf-8", "surrogateescape").splitlines()
    except OSError as e:
        raise ToolError(f"{path} could not be read ({e.strerror or e}). Check --passphrase-file.")
    return lines[0] if lines else ""


def _not_empty(phrase: str, source: str) -> str:
    if not phrase.strip():
        raise ToolError(f"{source} is empty. A passphrase needs to be there; use several words.")
    return phrase

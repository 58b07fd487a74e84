"""What a board is to have: settings, networks, an application; checked before it is touched."""

import getpass
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ToolError
from ..flash import keep
from ..network import Network
from ..session import Session

Nets = list[list[str]]
MOST_NETS = 8


@dataclass
class Want:
    """`wifi` comes in front of the board's own networks, or instead of them (`only_wifi`)."""

    settings: dict[str, Any] = field(default_factory=dict)
    wifi: Nets = field(default_factory=list, repr=False)
    only_wifi: bool = False
    app: bytes | None = None

    def check(self, network: Network | None, source: str = "The settings") -> "Want":
        """ToolError when the firmware would not take it."""
        given = {**keep.of_network(network), **self.settings}
        keep.checked({**given, **({"wifi": self.wifi} if self.wifi else {})}, source)
        return self

    def over(self, old: dict[str, Any], network: Network) -> dict[str, Any]:
        """The settings of a board that has `old`."""
        new = {**old, **keep.of_network(network), **self.settings}
        if self.wifi:
            names = [n for n, _ in self.wifi]
            rest = [] if self.only_wifi else old.get("wifi", [])
            new["wifi"] = (self.wifi + [n for n in rest if n[0] not in names])[:MOST_NETS]
        return keep.checked(new, "With what the board has already")


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of the settings that differ; never a value."""
    return sorted(k for k in {*old, *new} if old.get(k) != new.get(k))


def parse_set(options: list[str]) -> dict[str, Any]:
    """["led_pin=2", "mode=passive"] -> settings; a value is JSON, or else text."""
    out: dict[str, Any] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{text!r} is not KEY=VALUE; write for example interval_s=30")
        try:
            out[key.strip()] = json.loads(value)
        except ValueError:
            out[key.strip()] = value.strip()
    return out


def read_app(path: Path) -> bytes:
    """The text of an app.py that compiles for a board."""
    from ..image import compile_mpy

    try:
        text = path.read_bytes()
    except OSError as e:
        raise ToolError(f"{path} could not be read ({e.strerror or e}). Check --app.") from None
    compile_mpy(text, "app.py")
    return text


def with_passwords(session: Session, names: list[str], path: Path | None) -> Nets:
    """[name, password] of each network. A password is never an argument: all could read it."""
    if not names:
        return []
    if path is not None:
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise ToolError(f"{path} could not be read ({e}). Check --wifi-password-file.")
        if len(lines) < len(names):
            raise ToolError(
                f"{path} has {len(lines)} lines for {len(names)} networks. Give each --wifi a "
                "line, in their order (empty: an open network)."
            )
        return [[n, p] for n, p in zip(names, lines, strict=False)]
    if "L4_WIFI_PASSWORD" in os.environ:
        if len(names) > 1:
            raise ToolError(
                "L4_WIFI_PASSWORD is one password, for one --wifi. Pass --wifi-password-file "
                "with a line a network."
            )
        return [[names[0], os.environ["L4_WIFI_PASSWORD"]]]
    if not sys.stdin.isatty():
        raise ToolError(
            "The WiFi's password is needed and there is no terminal to ask for it. Pass "
            "--wifi-password-file FILE or set L4_WIFI_PASSWORD (empty: an open network)."
        )
    try:
        return [
            [n, getpass.getpass(f"Password of {n} (empty: none): ", session.out.stderr)]
            for n in names
        ]
    except EOFError:
        raise ToolError("No password was typed. Nothing was done; start again.") from None

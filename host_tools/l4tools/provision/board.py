"""One board over USB: look at it, write what it is to have, give it keys, follow its start.

An interrupted run is mended by the next: settings are written beside the old ones and renamed,
keys count only when all are there, and nothing that is already right is written again.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import Refused, ToolError
from ..flash.after import Following, find_again
from ..flash.keep import old_config
from ..network import Network
from ..usb.repl import BoardError, Repl
from .want import Nets, Want, changes

CONFIG = "/config.json"
_APP = "/app.py"
_LOOK = """\
import machine, binascii
print('UID', binascii.hexlify(machine.unique_id()).decode())
import provision
provision.show()
"""
_KEYLESS = re.compile(r"^L4 UNPROVISIONED ([0-9a-f]{64})$", re.M)
_MEMBER = re.compile(r"^L4 NODE ([0-9a-f]{32}) NETWORK ([0-9a-f]{8}) KEY ([0-9a-f]{64})$", re.M)
_UID = re.compile(r"^UID ([0-9a-f]+)$", re.M)

Say = Callable[[str], None]


@dataclass
class Seen:
    """A board as it is. `network`: id of the one it belongs to, or ""; `bad`: settings that its
    firmware does not take.
    """

    uid: str
    public: bytes
    network: str
    config: dict[str, Any]
    bad: list[str]


def look(repl: Repl) -> Seen:
    """Who is it, and what has it? Its heap is empty then; its program does not run."""
    repl.enter(soft_reset=True)
    try:
        said = repl.exec(_LOOK, timeout=60)
    except BoardError as e:
        if "ImportError" in e.last or "AttributeError" in e.last:
            raise ToolError(
                "The board has no l4mesh firmware, or an old one. Put it there with: l4 flash"
            ) from e
        raise
    uid, keyless, member = _UID.search(said), _KEYLESS.search(said), _MEMBER.search(said)
    if not uid or not (keyless or member):
        raise ToolError(
            f"The board said {said.strip()[-120:]!r} instead of who it is. Run l4 flash."
        )
    config: dict[str, Any] = {}
    bad: list[str] = []
    if CONFIG in repl.tree("/", skip=("/rom", "/remote", "/queue", "/lib", "/ota", "/log")):
        config, bad = old_config(repl.read(CONFIG))
    if keyless:
        return Seen(uid[1], bytes.fromhex(keyless[1]), "", config, bad)
    return Seen(uid[1], bytes.fromhex(member[3]), member[2], config, bad)


def bring(repl: Repl, seen: Seen, want: Want, network: Network, new_keys: bool, say: Say) -> dict:
    """Write settings, application and keys as far as they differ; what was done."""
    ours = network.network_id.hex()
    if seen.network not in ("", ours) and not new_keys:
        raise Refused(
            f"This board belongs to the network {seen.network}, not to {network.name} ({ours}). "
            "Choose it with --network, or pass --new-keys to take the board over."
        )
    new = want.over(seen.config, network)
    changed = changes(seen.config, new) + seen.bad
    if changed:
        repl.write(CONFIG, json.dumps(new).encode())
        say("Settings written: " + ", ".join(changed))
    if want.app is not None and want.app != _old(repl, _APP):
        repl.write(_APP, want.app)
        changed.append("app.py")
        say("app.py written")
    given = seen.network != ours
    if given:
        give(repl, network, seen.public)
        say("The board has its keys.")
    return {"settings": changed, "keys": "given" if given else "kept", "config": new}


def _old(repl: Repl, path: str) -> bytes | None:
    try:
        return repl.read(path)
    except ToolError:
        return None


def give(repl: Repl, network: Network, public: bytes) -> None:
    """The keys of the board with this public key, over the raw REPL, which echoes nothing."""
    text = json.dumps(network.provision(public))
    said = repl.exec("import provision\nprovision.give(%r)" % text, timeout=30)
    if "L4 PROVISIONED" not in said:
        raise ToolError(
            f"The board did not take its keys: {said.strip()}. Run the same command again."
        )


class Start(Following):
    """A board's start; a network that does not work is told when none is left."""

    def __init__(self, repl: Repl, network: Network, say: Say, nets: Nets):
        super().__init__(repl, network, say)
        self._nets = [n for n, _ in nets]
        self._failed: dict[str, str] = {}

    def _wifi(self, name: str, why: str) -> None:
        if name not in self._failed:
            self.tell(f"WiFi {name}: {why}")
        self._failed[name] = why
        if not set(self._nets) <= set(self._failed):
            return
        whys = ", ".join(f'"{n}": {self._failed[n]}' for n in self._nets)
        step = "Check the access point."
        if "wrong password" in self._failed.values():
            step = "Run l4 provision --wifi again with the right password."
        elif "no such network" in self._failed.values():
            step = (
                "Check the spelling (capitals count) and that it is a 2.4 GHz network that "
                "reaches the board; then run l4 provision --wifi again."
            )
        raise ToolError(f"The board cannot join its WiFi ({whys}). {step}")


def provision(
    repl: Repl,
    network: Network,
    want: Want,
    say: Say,
    *,
    seen: Seen | None = None,
    new_keys: bool = False,
    wait_s: float = 60,
    join: bool = True,
) -> dict[str, Any]:
    """Everything for one board; the report. `join`: until a tier has taken it."""
    begun = time.monotonic()
    seen = seen or look(repl)
    done = bring(repl, seen, want, network, new_keys, say)
    config = done.pop("config")
    nets = config.get("wifi", [])
    if join and not nets:
        say("The board knows no WiFi yet. Give it one with: l4 provision --wifi SSID")
    elif join and not config.get("upstream"):
        say("The network has no upstream address, so nothing takes the node yet.")
    join = bool(join and nets and config.get("upstream"))
    repl.hard_reset()
    got = Start(repl, network, say, nets).until_joined(wait_s, join)
    return {
        "node": got.node,
        "name": config.get("name", ""),
        "board": seen.uid,
        "network": network.name,
        **done,
        "wifi": [n for n, _ in nets],
        "address": got.wifi,
        "tier": got.tier or None,
        "joined_s": got.seconds and round(got.seconds, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def open_board(port) -> Repl:
    return Repl(find_again(port))

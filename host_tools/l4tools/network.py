"""The owner's network: its keys, its upstream, and what each board is given.

Everything secret about a network is in one encrypted file (vault.py), `NAME.l4net` in `$L4_HOME`
(default `~/.config/l4`): the owner's Ed25519 seed, the master key, the group keys. All are random
and made here; there are no default keys. Whoever has the file and its passphrase owns the network.

Derivations are those of docs/protocol.md section 1 (l4mesh.keys). One more is only used here:

    seed of tier N's own identity = HKDF(master, "l4-tier-N-v1")

A tier is a member like any other: it signs a record and has a node id. Deriving its seed gives it
the same id on every start and every machine, with nothing to back up, and lets the owner hand an
L2 or L3 process its own seed without the master key, which only L1 gets.
"""

import json
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from l4mesh import endpoint, keys

from . import vault
from .errors import NotFound, ToolError

SUFFIX = ".l4net"
TIERS = (1, 2, 3)
FIRST_GROUP = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")

Upstream = dict[int, list[str]]


@dataclass
class Network:
    """One network. `groups` is [(number, key)], the newest last; `created` is Unix seconds."""

    name: str
    created: int
    upstream: Upstream
    owner_seed: bytes = field(repr=False)
    master: bytes = field(repr=False)
    groups: list[tuple[int, bytes]] = field(repr=False)

    @classmethod
    def create(cls, name: str, upstream: Upstream | None = None) -> "Network":
        """A new network with new keys, not saved yet. ValueError: name or endpoint is bad."""
        return cls(
            name=check_name(name),
            created=int(time.time()),
            upstream=check_upstream(upstream or {}),
            owner_seed=secrets.token_bytes(32),
            master=secrets.token_bytes(32),
            groups=[(FIRST_GROUP, secrets.token_bytes(32))],
        )

    @classmethod
    def load(cls, path: Path, passphrase: str) -> "Network":
        """The network in the file `path`; ToolError says what is wrong and what to do."""
        data = vault.read(path, passphrase)
        try:
            d = json.loads(data)
            groups = [(int(number), _key(text)) for number, text in d["groups"]]
            if not groups or not all(0 <= number <= 255 for number, _ in groups):
                raise ValueError("groups")
            return cls(
                name=check_name(d["name"]),
                created=int(d["created"]),
                upstream=check_upstream({int(t): list(a) for t, a in d["upstream"].items()}),
                owner_seed=_key(d["owner_seed"]),
                master=_key(d["master"]),
                groups=groups,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ToolError(
                f"{path} opened, but it does not hold a network that this l4 knows ({e}). "
                "Use the l4 that wrote it, or a newer one."
            ) from e

    def save(self, path: Path, passphrase: str, new: bool = False) -> None:
        """Write the file, atomically; with `new` an existing file is an error, never replaced."""
        d = {
            "name": self.name,
            "created": self.created,
            "upstream": {str(tier): list(a) for tier, a in self.upstream.items()},
            "owner_seed": self.owner_seed.hex(),
            "master": self.master.hex(),
            "groups": [[number, key.hex()] for number, key in self.groups],
        }
        vault.write(path, json.dumps(d).encode(), passphrase, new)

    @cached_property
    def owner_public(self) -> bytes:
        """The owner's public key: what boards check bundles and revocations against."""
        return public_key(self.owner_seed)

    @property
    def network_id(self) -> bytes:
        """The 4 bytes in every frame."""
        return keys.network_id(self.owner_public)

    @property
    def group(self) -> tuple[int, bytes]:
        """(number, key) of the group key in use."""
        return self.groups[-1]

    def rotate(self) -> int:
        """A new group key, and the one before it; returns its number. Not saved yet."""
        number = (self.group[0] + 1) & 255
        self.groups = [self.group, (number, secrets.token_bytes(32))]
        return number

    def mac_key(self) -> bytes:
        """The tag key of frames under the group key in use."""
        return keys.mac_key(self.group[1])

    def node_key(self, node_id: bytes) -> bytes:
        """The key that a node (16-byte id) shares with its upstream."""
        return keys.node_key(self.master, node_id)

    def mqtt_password(self, node_id: bytes) -> str:
        """The node's MQTT password; its user name is the node id in hex."""
        return keys.mqtt_password(self.node_key(node_id))

    def tier_identity(self, tier: int) -> bytes:
        """The Ed25519 seed of tier 1, 2 or 3 (why it is derived: top of this file)."""
        if tier not in TIERS:
            raise ValueError(f"there is no upstream tier {tier!r}; use 1, 2 or 3")
        return keys.hkdf(self.master, b"l4-tier-%d-v1" % tier)

    def tier_id(self, tier: int) -> bytes:
        """The node id of a tier; no secret."""
        return keys.node_id(public_key(self.tier_identity(tier)))

    def provision(self, public: bytes) -> dict:
        """What the board with this 32-byte public key is given. Contains its secrets."""
        number, key = self.group
        return {
            "nodekey": self.node_key(keys.node_id(public)).hex(),
            "group": [number, key.hex()],
            "network": self.network_id.hex(),
            "owner": self.owner_public.hex(),
        }

    def public(self) -> dict:
        """All that may be shown: ids, numbers and endpoints; no key, no seed."""
        return {
            "name": self.name,
            "network": self.network_id.hex(),
            "owner": self.owner_public.hex(),
            "created": utc(self.created),
            "group": self.group[0],
            "tiers": {
                f"L{tier}": {"node": self.tier_id(tier).hex(), "at": self.upstream.get(tier, [])}
                for tier in TIERS
            },
        }


def home() -> Path:
    """The folder of the network files."""
    return Path(os.environ.get("L4_HOME") or Path.home() / ".config" / "l4")


def path_of(name: str) -> Path:
    """Where the network `name` is kept; a path to a .l4net file is taken as it is."""
    if name.endswith(SUFFIX):
        return Path(name)
    return home() / (check_name(name) + SUFFIX)


def available() -> list[Path]:
    """The network files of this user, by name."""
    return sorted(p for p in home().glob("[!.]*" + SUFFIX) if p.is_file())


def find(name: str | None) -> Path:
    """The file of the network `name`; without a name, of the only one there is."""
    if name is not None:
        try:
            path = path_of(name)
        except ValueError as e:
            raise NotFound(f"There is no such network: {e}. See: l4 network list")
        if path.is_file():
            return path
        raise NotFound(f'There is no network "{name}" ({path}). See: l4 network list')
    paths = available()
    if len(paths) == 1:
        return paths[0]
    if not paths:
        raise NotFound(f"There is no network in {home()}. Make one with: l4 network new NAME")
    names = ", ".join(p.stem for p in paths)
    raise ToolError(f"There are several networks: {names}. Say which with --network NAME.")


def parse_upstream(options: list[str]) -> Upstream:
    """["L3=10.0.0.1:5000", ..] -> {3: ["10.0.0.1:5000"]}. ValueError: a sentence."""
    upstream: Upstream = {}
    for text in options:
        tier, equals, address = text.partition("=")
        if not equals or tier.upper() not in ("L1", "L2", "L3"):
            raise ValueError(f"{text!r} is not TIER=IP:PORT; write for example L3=192.0.2.7:4104")
        upstream.setdefault(int(tier[1]), []).append(address)
    return check_upstream(upstream)


def check_upstream(upstream: Upstream) -> Upstream:
    """The same, in one spelling, tiers ascending; ValueError names what is wrong."""
    checked: Upstream = {}
    for tier in sorted(upstream):
        if tier not in TIERS:
            raise ValueError(f"there is no upstream tier {tier!r}; use 1, 2 or 3")
        for text in upstream[tier]:
            address = endpoint.parse_endpoint(text)
            if not endpoint.usable(address, loopback=True):
                raise ValueError(
                    f"nodes cannot send to {text}; give a unicast address and a port above 1023"
                )
            texts = checked.setdefault(tier, [])
            if endpoint.format_endpoint(address) not in texts:
                texts.append(endpoint.format_endpoint(address))
    return checked


def check_name(name: str) -> str:
    """A name that is safe as a file name on every system."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a network; use 1 to 32 letters, digits, - and _"
        )
    return name


def public_key(seed: bytes) -> bytes:
    """The Ed25519 public key of a seed (RFC 8032)."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _key(text: str) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != 32:
        raise ValueError("a key of %d bytes" % len(data))
    return data

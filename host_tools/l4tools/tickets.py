"""One-time tickets: what a factory image holds in place of keys (docs/protocol.md 6).

    for raw in issue(network, 100, days=90): ..     contents of `/ticket`, one a board
    parse(raw)                                      Ticket, without what must stay secret

A ticket's secret is HKDF(master, "l4-ticket-v1" || ticket id), and the hour in which it expires is
part of its id. So issuing needs no upstream and leaves nothing behind: L1 works the secret out
again when a board asks, and nobody without the master key can make a ticket or lengthen its life.
"""

import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from l4mesh import keys, ticket

from .errors import ToolError
from .network import Network, public_key, utc

SUFFIX = ".ticket"
ZERO_S = 1767225600  # 2026-01-01: expiry is in whole hours since then, 3 bytes
MAX_DAYS = 3650
MAX_COUNT = 100_000
_HOUR_S = 3600


class Ticket(NamedTuple):
    """What may be shown of a ticket. `expires`: Unix seconds."""

    id: bytes
    network: bytes
    owner: bytes
    authority: bytes
    expires: int

    @property
    def expired(self) -> bool:
        return is_expired(self.id)


def issue(network: Network, count: int = 1, days: float = 90) -> list[bytes]:
    """`count` new tickets, good for `days` (to the hour, rounded up)."""
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"the number of tickets must be from 1 to {MAX_COUNT}")
    if not 0 < days <= MAX_DAYS:
        raise ValueError(f"the days must be above 0 and at most {MAX_DAYS}")
    hour = int((time.time() + 86400 * days - ZERO_S) // _HOUR_S) + 1
    return [_make(network, hour, salt) for salt in _salts(count)]


def _salts(count):
    """Different random bytes: two boards with one ticket would shut one of them out."""
    salts: set[bytes] = set()
    while len(salts) < count:
        salts.add(secrets.token_bytes(5))
    return salts


def _make(network, hour, salt):
    ticket_id = hour.to_bytes(3, "big") + salt
    return of_id(network, ticket_id)


def of_id(network: Network, ticket_id: bytes) -> bytes:
    """The ticket with this id again, as `issue` made it."""
    authority = public_key(network.tier_identity(1))
    secret = secret_of(network.master, ticket_id)
    return ticket.pack(network.network_id, ticket_id, secret, network.owner_public, authority)


def parse(raw: bytes) -> Ticket:
    """ToolError when it is no whole ticket."""
    found = ticket.parse(bytes(raw))
    if found is None:
        raise ToolError(
            "This is no ticket, or a damaged one. Make one with: l4 network ticket new --out DIR"
        )
    network, ticket_id, _, owner, authority = found
    return Ticket(ticket_id, network, owner, authority, expires_s(ticket_id))


def read(path: Path) -> Ticket:
    """The ticket in a file."""
    try:
        with path.open("rb") as f:
            raw = f.read(ticket.SIZE + 1)
    except OSError as e:
        raise ToolError(f"{path} can't be read ({e.strerror or e}). Check the name.") from None
    try:
        return parse(raw)
    except ToolError as e:
        raise ToolError(f"{path}: {e}") from None


def write(folder: Path, raw: bytes) -> Path:
    """A new file ID.ticket in `folder`, for its owner only."""
    path = folder / (parse(raw).id.hex() + SUFFIX)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "wb") as f:
            f.write(raw)
    except OSError as e:
        raise ToolError(
            f"{path} can't be written ({e.strerror or e}). Choose another folder with --out."
        ) from None
    return path


def secret_of(master: bytes, ticket_id: bytes) -> bytes:
    """What only the ticket's holder and L1 know."""
    return keys.hkdf(master, b"l4-ticket-v1" + ticket_id)


def expires_s(ticket_id: bytes) -> int:
    """Unix seconds from which the ticket is worth nothing."""
    return ZERO_S + _HOUR_S * int.from_bytes(ticket_id[:3], "big")


def is_expired(ticket_id: bytes, now_s: float | None = None) -> bool:
    return (time.time() if now_s is None else now_s) >= expires_s(ticket_id)


def row(t: Ticket) -> dict:
    """A ticket as a row of a table."""
    state = "expired" if t.expired else "good"
    return {"ticket": t.id.hex(), "expires": utc(t.expires), "state": state}

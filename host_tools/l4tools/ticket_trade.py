"""A ticket shown to L1 from this machine: what a board does at its first boot, and revoking.

    doc = await trade(raw, seed, upstream, open_link)       Traded
    await revoke(network, ticket_id, upstream, open_link)   the node that had used it, or None

Revoking is the same exchange with the owner's own key as the identity: L1 then marks the ticket as
good for nothing. So the owner proves who that is, and no other way into L1 is needed.
"""

import asyncio
import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from l4mesh import keys, ticket
from l4mesh.endpoint import parse_endpoint

from . import fastsig, tickets
from .errors import Refused, Unavailable
from .link import now_ms
from .network import Network

REASONS = {
    ticket.USED: "it was used by another board",
    ticket.EXPIRED: "it has expired",
    ticket.LATER: "L1 cannot store it now",
    ticket.REVOKED: "the owner has revoked it",
}


class Traded(NamedTuple):
    """`status` of ticket.py; keys when it is GIVEN, `told` when not."""

    status: int
    node_key: bytes | None
    group: bytes | None
    told: bytes


async def trade(
    raw: bytes,
    seed: bytes,
    upstream: dict[int, str],
    open_link: Callable[[Callable[[bytes, bytes], None]], Any],
    timeout_s: float = 10.0,
) -> Traded:
    """`open_link(receive)` gives a link (link.py). Unavailable when nobody answers."""
    public = fastsig.public_key(seed)
    ident = SimpleNamespace(seed=seed, public=public, id=keys.node_id(public), epoch=1)
    tiers = [(t, parse_endpoint(a)) for t, a in sorted(upstream.items(), reverse=True)]
    woken = asyncio.Event()

    def receive(data, addr):
        if exchange.receive(data, len(data), now_ms()):
            woken.set()

    link = open_link(receive)
    try:
        exchange = ticket.Exchange(
            raw, ident, tiers, link, random.Random(), os.urandom, fastsig.Shared
        )
        async with asyncio.timeout(timeout_s):
            while exchange.status in (-1, ticket.LATER):
                wait_ms = exchange.poll(now_ms())
                alarm = asyncio.get_running_loop().call_later(wait_ms / 1000, woken.set)
                await woken.wait()
                alarm.cancel()
                woken.clear()
    except TimeoutError:
        asked = ", ".join("L%d at %s" % t for t in sorted(upstream.items(), reverse=True))
        why = REASONS.get(exchange.status, "asked: %s" % (asked or "nobody"))
        raise Unavailable(
            "No answer about the ticket in %g s (%s). Start the upstream with `l4 upstream`, or "
            "give its address with --upstream." % (timeout_s, why)
        ) from None
    finally:
        link.close()
    return Traded(exchange.status, exchange.node_key, exchange.group, exchange.told)


async def revoke(network: Network, ticket_id: bytes, upstream, open_link, timeout_s=10.0):
    """The node (16 B) that had used the ticket, or None. It is worth nothing from now on."""
    raw = tickets.of_id(network, ticket_id)
    traded = await trade(raw, network.owner_seed, upstream, open_link, timeout_s)
    if traded.status != ticket.REVOKED:
        raise Refused(
            "L1 did not revoke %s (%s). Check that it is an L1 of this network."
            % (ticket_id.hex(), REASONS.get(traded.status, "answer %d" % traded.status))
        )
    node = traded.told[:16]
    return node if any(node) else None

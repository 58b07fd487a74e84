"""The checks of a node that runs, by its own word and its neighbours': see checks.py."""

from l4mesh.endpoint import parse_endpoint

from ..errors import ToolError
from . import flightlog
from .checks import BAD, OK, SKIPPED, WARN, Finding, crash, safe, tier

_MOST = 4  # neighbours asked


async def on_network(n, orders, network, target, upstream: dict) -> list[Finding]:
    """`n`: HostNode; `upstream`: {level: address} as this machine knows them."""
    found = []
    try:
        ms = await n.ping(target.id, 3.0, target.addr)
    except ToolError:
        found = [
            Finding(
                "node", BAD, "%s does not answer." % target.label,
                "Look at its power, and at the board itself: l4 doctor --port PORT",
            )
        ]  # fmt: skip
        return found + [await tier(n, network, k, a) for k, a in sorted(upstream.items())]
    found.append(Finding("node", OK, "It answers in %.0f ms." % ms))
    status = await n.info(target.id, "status", addr=target.addr)
    found += by_status(status)
    found.append(await multicast(n, target))
    try:
        found.append(crash(await flightlog.over_network(orders, target.id, target.addr)))
    except ToolError as e:
        found.append(Finding("crashes", SKIPPED, str(e)))
    return found + [await tier(n, network, k, a) for k, a in sorted(upstream.items())]


def by_status(status: dict) -> list[Finding]:
    """What the node says of its upstream, WiFi, broker, queue and start."""
    found = []
    silent = [t for t in status["upstream"] if not t[1]]
    if status["joined"]:
        found.append(Finding("joined", OK, "Registered through L%d." % status["tier"]))
    else:
        found.append(
            Finding(
                "joined", BAD, "The node is not registered upstream.",
                "See what its tiers say: l4 status; has it the keys of this network?",
            )
        )  # fmt: skip
    if silent:
        names = ", ".join("L%d" % t[0] for t in silent)
        found.append(
            Finding(
                "its upstream", WARN if len(silent) < len(status["upstream"]) else BAD,
                "The node hears nothing of %s." % names,
                "Compare with the checks of the tiers below; look for a firewall between",
            )
        )  # fmt: skip
    elif status["upstream"]:
        found.append(Finding("its upstream", OK, "The node hears all its tiers."))
    if "boot" in status:
        found.append(safe(status["boot"]))
    if "wifi" in status:
        found.append(Finding("wifi", OK, status["wifi"]))
    if "mqtt" in status:
        on = status["mqtt"].startswith("Connected")
        fix = "" if on else "Check that the broker runs at the address in config.json"
        found.append(Finding("broker", OK if on else WARN, status["mqtt"], fix))
    if status.get("dropped"):
        found.append(
            Finding(
                "readings", WARN, "%d readings were dropped, the flash was full of older ones."
                % status["dropped"],
                "Bring the upstream back, or raise queue_segments",
            )
        )  # fmt: skip
    return found


async def multicast(n, target) -> Finding:
    """Do this node and its neighbours hear each other's hellos? They are asked one by one."""
    rows = await n.info(target.id, "neighbours", addr=target.addr)
    lan = [r for r in rows if r[2] == "lan"][:_MOST]
    counters = await n.info(target.id, "counters", addr=target.addr)
    sent, heard = counters.get("hello_tx", 0), counters.get("hello_rx", 0)
    if not lan:
        if heard or sent < 3:
            return Finding("multicast", OK, "No neighbour is there now.")
        return Finding(
            "multicast", WARN, "It said %d hellos and never heard one." % sent,
            "If other boards are on this WiFi: switch off client isolation and IGMP snooping",
        )  # fmt: skip
    deaf = []
    asked = 0
    me = target.id.hex()[:16]
    for row in lan:
        other = await _id_of(n, row)
        if other is None:
            continue
        asked += 1
        if not any(r[0] == me and r[2] == "lan" for r in other):
            deaf.append(row[0][:8])
    if deaf:
        return Finding(
            "multicast", WARN,
            "%d of %d neighbours do not hear its hellos (%s), which it hears."
            % (len(deaf), asked, ", ".join(deaf)),
            "The access point loses multicast: switch off IGMP snooping and power saving",
        )  # fmt: skip
    return Finding("multicast", OK, "It and %d neighbours hear each other." % max(asked, 1))


async def _id_of(n, row):
    """The neighbours that a neighbour (row of INFO) names; None when it does not answer."""
    try:
        short = bytes.fromhex(row[0])
        return await n.info(short + bytes(8), "neighbours", 2.0, addr=parse_endpoint(row[1]))
    except ToolError:
        return None

"""Take a node out of the network: its keys, its registration, its MQTT user, what brokers keep.

Each step is a dict with `where`, `done` and `said`; when one fails the others are done all the
same. Only L1 matters for keeping the node out; the rest is cleaning up.
"""

import re

from l4mesh.orders import DO_FORGET, DO_READMIT, DO_REVOKE

from ..errors import ToolError
from ..network import TIERS
from ..upstream.orders import (
    ALSO_READINGS,
    HAD_READINGS,
    HAD_RECORD,
    HAD_REGISTRATION,
    HAD_USER,
)
from .mqtt import Mqtt, MqttRefused

_HAD = (
    (HAD_REGISTRATION, "its registration"),
    (HAD_RECORD, "its record"),
    (HAD_USER, "its MQTT user"),
    (HAD_READINGS, "its readings"),
)
_NODE_S = 4.0
_TIER_S = 5.0


def _step(where, done, said):
    return {"where": where, "done": done, "said": said}


async def forget(orders, target) -> dict:
    """Tell the node itself to forget its keys."""
    try:
        left = (await orders.give(target.id, DO_FORGET, addr=target.addr, timeout_s=_NODE_S)).arg
    except ToolError as e:
        said = str(e).partition(". ")[0].rstrip(".")
        return _step("node", False, said + "; its keys are still on it")
    lost = "; %d readings that were not delivered are gone" % left if left else ""
    return _step("node", True, "it forgets its keys and restarts as a new board" + lost)


async def tiers(orders, network, upstream, node_id, back=False, readings=False) -> list[dict]:
    """L1 first: from then on the node gets in nowhere. `upstream`: levels with an address."""
    steps = []
    for level in TIERS:
        where = "l%d" % level
        if level not in upstream:
            steps.append(_step(where, False, "no address of it is known"))
            continue
        try:
            answer = await orders.give(
                network.tier_id(level),
                DO_READMIT if back else DO_REVOKE,
                ALSO_READINGS if readings else 0,
                body=node_id,
                timeout_s=_TIER_S,
            )
        except ToolError as e:
            steps.append(_step(where, False, str(e).partition(". ")[0].rstrip(".")))
            continue
        had = [text for bit, text in _HAD if answer.arg & bit]
        if back:
            said = "it may join again"
        else:
            said = "kept out; removed %s" % (", ".join(had) or "nothing, there was nothing")
        steps.append(_step(where, True, said))
    return steps


def topics(node_id: bytes, found: list[str]) -> list[str]:
    """The retained topics of the node: its own, and those of Home Assistant's discovery."""
    own = re.compile(r"l4/%s/" % node_id.hex())
    device = re.compile(r"[^/]+/[^/]+/(.+/)?l4_%s[^/]*/(.+/)?config$" % node_id.hex()[:16])
    return [t for t in found if own.match(t) or device.match(t)]


def broker(host: str, port: int, user: str, password: str, node_id: bytes, prefix: str) -> dict:
    """Clear what the broker keeps of the node; as the node itself when there is no other user."""
    where = "mqtt %s:%d" % (host, port)
    try:
        with Mqtt(host, port, user, password) as mqtt:
            found = mqtt.retained("l4/%s/#" % node_id.hex())
            ours = ["l4/%s/status" % node_id.hex()] if found is None else found
            more = mqtt.retained(prefix + "/#")
            gone = topics(node_id, ours + (more or []))
            for topic in gone:
                mqtt.clear(topic)
    except (OSError, MqttRefused) as e:
        return _step(where, False, str(e))
    said = "cleared %d retained topics" % len(gone)
    if more is None:
        said += "; this user may not read %s/: pass --broker-user for discovery topics" % prefix
    return _step(where, True, said)

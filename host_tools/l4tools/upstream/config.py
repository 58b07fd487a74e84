"""What one tier process is told: a JSON document, by stdin, since it holds secrets.

`tier_config(network, tier, ..)` makes the document for a tier of a Network; `TierConfig(doc)`
checks it. L2 and L3 get their own seed and node key, the group keys, and the ids and addresses of
the tiers above; the master key goes to L1 only.
"""

import random

from l4mesh.endpoint import format_endpoint, parse_endpoint
from l4mesh.keys import node_id

from .. import fastsig
from ..errors import ToolError
from .broker_bridge import Broker

KEYS = {
    "tier", "network", "seed", "groups", "tier_ids", "up", "data", "master", "node_key", "listen",
    "port", "mqtt_listen", "mqtt_port", "nats", "mqtt", "hub", "vaddr", "limits", "tied", "level",
    "owner", "broker", "relay", "tcp_port", "tcp_cert", "tcp_key",
}  # fmt: skip


class TierConfig:
    """The document, checked: bytes where it has hex. ToolError says what is wrong."""

    def __init__(self, doc: dict):
        unknown = sorted(set(doc) - KEYS)
        if unknown:
            raise ToolError(
                "%s is no setting of a tier. Settings are: %s."
                % (unknown[0], ", ".join(sorted(KEYS)))
            )
        try:
            self.tier = doc["tier"]
            if self.tier not in (1, 2, 3):
                raise ValueError("tier must be 1, 2 or 3")
            self.network = _hex(doc, "network", 4)
            self.seed = _hex(doc, "seed", 32)
            self.master = _hex(doc, "master", 32) if self.tier == 1 else None
            self.node_key = None if self.tier == 1 else _hex(doc, "node_key", 32)
            self.owner = _hex(doc, "owner", 32) if doc.get("owner") else None
            self.groups = [(int(n), bytes.fromhex(k)) for n, k in doc["groups"]]
            self.tier_ids = {int(t): bytes.fromhex(i) for t, i in doc["tier_ids"].items()}
            self.up = [(int(t), parse_endpoint(a)) for t, a in doc.get("up", [])]
            self.data = doc["data"]
        except (KeyError, ValueError, TypeError, AttributeError) as e:
            what = "%s is missing" % e if isinstance(e, KeyError) else str(e)
            raise ToolError(
                "The tier's settings are wrong: %s. Make them with tier_config()." % what
            ) from None
        self.public = fastsig.public_key(self.seed)
        self.node_id = node_id(self.public)
        if self.tier_ids.get(self.tier) != self.node_id:
            raise ToolError(
                "The seed is not that of L%d of this network. Make the settings with "
                "tier_config()." % self.tier
            )
        self.listen = "%s:%d" % (doc.get("listen", "127.0.0.1"), doc.get("port", 0))
        self.mqtt_listen = doc.get("mqtt_listen") or doc.get("listen", "127.0.0.1")
        self.mqtt_port = doc.get("mqtt_port")
        self.nats = doc.get("nats")
        self.mqtt = self.mqtt_port is not None or bool(doc.get("mqtt"))
        self.broker = Broker.of(doc["broker"]) if doc.get("broker") else None
        self.relay = bool(doc.get("relay", True))
        self.tcp_port = doc.get("tcp_port")
        self.tcp_cert, self.tcp_key = doc.get("tcp_cert"), doc.get("tcp_key")
        self.hub, self.vaddr = doc.get("hub"), doc.get("vaddr")
        self.limits = doc.get("limits", {})
        self.tied = bool(doc.get("tied"))
        self.level = doc.get("level", "INFO")
        self.rng = random.Random()


def tier_config(network, tier: int, data, up=None, **options) -> dict:
    """The document for tier `tier` of `network` (network.Network).

    `up`: {level: "ip:port"} of the tiers above, default those of the network file. `options`:
    listen, port, mqtt_port (None: no MQTT, 0: any), mqtt_listen, broker (a dict of
    broker_bridge.Broker: MQTT there instead), nats (URLs), mqtt, hub, vaddr, limits, tied (end
    when stdin ends), level (of the log), relay (False: for nobody), tcp_port (None: no TCP, 0:
    any), tcp_cert and tcp_key (PEM files: TLS).
    """
    if up is None:
        up = {t: a[0] for t, a in network.upstream.items() if a}
    seed = network.tier_identity(tier)
    doc = {
        "tier": tier,
        "network": network.network_id.hex(),
        "owner": network.owner_public.hex(),
        "seed": seed.hex(),
        "groups": [[number, key.hex()] for number, key in network.groups],
        "tier_ids": {str(t): network.tier_id(t).hex() for t in (1, 2, 3)},
        "up": [[t, _text(a)] for t, a in sorted(up.items()) if t < tier],
        "data": str(data),
        **options,
    }
    if tier == 1:
        doc["master"] = network.master.hex()
    else:
        doc["node_key"] = network.node_key(network.tier_id(tier)).hex()
    return doc


def _text(address):
    return address if isinstance(address, str) else format_endpoint(address)


def _hex(doc, key, size):
    value = bytes.fromhex(doc[key])
    if len(value) != size:
        raise ValueError("%s must have %d bytes" % (key, size))
    return value

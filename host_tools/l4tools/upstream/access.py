"""Who may use the private nats-server: a service user, an MQTT user for each node, one for
Home Assistant, and one for the tier itself.

A node's MQTT user is its id in hex, the password its MQTT password (docs/protocol.md 1). It may
only publish on its own topics and announcements, and subscribe to what is sent to it (NATS:
`l4.<id>.up` and so on; docs/mqtt.md). Commands come from Home Assistant's user or the service
only: no node can send one to another.
The server acknowledges (PUBACK) and then drops what is published elsewhere, and refuses the
subscription; so a PUBACK proves nothing, only the mesh's own ACK does.

Nodes subscribe with QoS 0: the service answers by core NATS, which is QoS 0 whatever was asked.
(QoS 1 delivery uses `$MQTT.sub.>`; rights on that are not given.) A client id is not tied to its
user, and the newer link with an id closes the older: so a node should make its up at random.

The users file is replaced whole (os.replace) and read again at SIGHUP; other links stay up, and
a removed user's link is closed. `Access.flush()` gathers what came in meanwhile, so that fifty
nodes joining at once cost one or two reloads, not fifty.
"""

import asyncio
import json
import os
import re
from pathlib import Path

_HEX32 = re.compile(r"[0-9a-f]{32}")
_GATHER_S = 0.02  # wait this long for others that join at the same moment
_GAP_S = 0.25  # and reload at most this often

UP_ALL = "l4.*.up"
HOME = "home-assistant"
SHOWN = "l4-shown"


def up_subject(node: str) -> str:
    """NATS subject of what a node (id in hex) sends over MQTT."""
    return "l4.%s.up" % node


def down_subject(node: str) -> str:
    """NATS subject of what a node (id in hex) receives over MQTT."""
    return "l4.%s.down" % node


def status_subject(node: str) -> str:
    """NATS subject of a node's "online" and of its will, "offline"."""
    return "l4.%s.status" % node


def write_private(path, text: str) -> None:
    """Replace a file whole, mode 0600, on disk before the name changes."""
    temporary = str(path) + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as f:
        os.fchmod(fd, 0o600)
        f.write(text)
        f.flush()
        os.fsync(fd)
    os.replace(temporary, path)


def node_user(node: str, password: str) -> dict:
    """The users-file entry of a node."""
    return {
        "user": node,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": [
                *(
                    "l4.%s.%s" % (node, leaf)
                    for leaf in ("up", "status", "state", "batch", "cmd.ack")
                ),
                "homeassistant.sensor.l4_%s.*.config" % node,
            ],
            "subscribe": [down_subject(node), "l4.%s.cmd" % node, "homeassistant.status"],
        },
    }


def home_user(password: str) -> dict:
    """Home Assistant's: reads what nodes show, announces itself, sends commands, cleans up."""
    return {
        "user": HOME,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": ["homeassistant.>", "l4.*.cmd", "l4.*.status"],
            "subscribe": [
                "homeassistant", "homeassistant.>",  # what homeassistant/# becomes
                "$MQTT.sub.>",
                *("l4.*.%s" % leaf for leaf in ("status", "state", "batch", "cmd.ack")),
            ],
        },
    }  # fmt: skip


def shown_user(password: str) -> dict:
    """The tier's own, for nodes that a neighbour speaks for (shown.py)."""
    return {
        "user": SHOWN,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": ["homeassistant.sensor.*.*.config", "l4.*.state", "l4.*.batch"],
            "subscribe": ["homeassistant.sensor.*.*.config", "l4.*.status"],
        },
    }


class UsersFile:
    """`users.conf`: `users = [` and JSON, one user a line (nats-server's config reads JSON)."""

    def __init__(self, path):
        self.path = Path(path)

    def read_nodes(self) -> dict:
        """{node id hex: password} of the file; {} if there is none or it can't be read."""
        try:
            users = json.loads(self.path.read_text().partition("=")[2])
            pairs = {u["user"]: u["password"] for u in users}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {n: p for n, p in pairs.items() if _HEX32.fullmatch(n) and _HEX32.fullmatch(p)}

    def write(self, service: str, password: str, nodes: dict, home: str = "") -> None:
        # "WEBSOCKET" and "LEAFNODE" are not among them: the service speaks on loopback only.
        first = {
            "user": service,
            "password": password,
            "allowed_connection_types": ["STANDARD"],
            "permissions": {"publish": [">"], "subscribe": [">"]},
        }
        users = [first] + ([home_user(home), shown_user(password)] if home else [])
        users += [node_user(n, p) for n, p in sorted(nodes.items())]
        write_private(self.path, "users = [\n" + ",\n".join(map(json.dumps, users)) + "\n]\n")


class Access:
    """Grants and revokes nodes' MQTT access on a PrivateNats.

    With external servers (`nats` None) nothing is done: their operator makes the users.
    `grant` and `revoke` only note the change; `await flush()` returns when the server has it.
    """

    def __init__(self, nats=None):
        self._nats = nats
        self._nodes = nats.users.read_nodes() if nats else {}
        self._wanted = self._applied = 0  # numbers of changes
        self._task = None
        self._last_s = -_GAP_S
        self.reloads = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def grant(self, node: str, password: str) -> bool:
        """Let `node` (32 hex) in with `password` (32 hex). False if nothing changed."""
        if not (_HEX32.fullmatch(node) and _HEX32.fullmatch(password)):
            raise ValueError("node id and MQTT password are 32 lower-case hex digits each")
        if self._nodes.get(node) == password:
            return False
        self._nodes[node] = password
        self._wanted += 1
        return True

    def revoke(self, node: str) -> bool:
        """Take the access away; an open link is closed by the flush. False if there was none."""
        if self._nodes.pop(node, None) is None:
            return False
        self._wanted += 1
        return True

    async def flush(self) -> None:
        """Wait until the server knows every change made before this call. ToolError if not."""
        wanted = self._wanted
        while self._applied < wanted and self._nats is not None:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._apply())
            await asyncio.shield(self._task)

    async def _apply(self) -> None:
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(max(_GATHER_S, self._last_s + _GAP_S - now_s))
        number, nodes = self._wanted, dict(self._nodes)
        nats = self._nats

        def replace():
            nats.users.write(nats.user, nats.password, nodes, nats.home)
            if nats.alive:  # else the next start reads the file
                nats.reload()

        await asyncio.to_thread(replace)
        self._last_s = asyncio.get_running_loop().time()
        self._applied = number
        self.reloads += 1

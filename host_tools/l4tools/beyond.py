"""What a HostNode does about NATs: it can be found, and reaches who is behind one.

`reach(node_id)` opens a way (lib/l4mesh/ways.py) and waits until it carries; the endpoint it gives
takes any question. A node that stays (not one question of a command line) is found by assistants
and relays when a tier sees it at another address than its own; with `tcp` in its config it goes to
the tiers by TCP where UDP does not pass.
"""

import asyncio

from l4mesh.endpoint import parse_endpoint
from l4mesh.way import NONE, RELAYED
from l4mesh_io import beyond
from l4mesh_io.detour import Detour
from l4mesh_io.mqtt_tls import Tls
from l4mesh_io.tcp_link import TcpLink

from .errors import ToolError
from .gateway import gateway
from .link import UdpLink, now_ms

_LOOK_MS = 1000


class Beyond:
    """`ephemeral`: nobody is to find this node. `wake()` makes it be polled."""

    def __init__(self, node, ephemeral, wake):
        self._node, self._ephemeral, self._wake = node, ephemeral, wake
        self._ways = None
        self._waiting = []  # futures, for the next change of a way
        self._looked = None
        self.router = None  # whom a port was asked of (lib/l4mesh/portmap.py)
        self.detour = self._make_detour() if node.cfg.tcp else None

    def _make_detour(self):
        node = self._node
        try:
            tls = Tls(node.cfg.tcp_ca) if node.cfg.tcp_ca else None
        except (OSError, ValueError) as e:
            raise ToolError(
                "%s can't be used as the CA of the tiers (%s). Give PEM or DER."
                % (node.cfg.tcp_ca, e)
            ) from None
        where = [(level, parse_endpoint(text)) for level, text in node.cfg.tcp]
        d = Detour(node, where, lambda n, a: TcpLink(node, n, a, node.sockets, tls))
        node.late.append(d)
        node.notes["upstream by"] = d.note
        return d

    def ways(self):
        """node.ways, made if there were none."""
        if self._ways is None:
            self._ways = beyond.of(self._node, now_ms(), True)
            if self.detour is not None:
                self._ways.on_silence = self.detour.silence
                self.detour.on_change = self._ways.rerouted
        return self._ways

    def poll(self, now) -> None:
        """Is there a NAT, or is UDP blocked, so that others need a relay to find us?"""
        if self._looked == now // _LOOK_MS or self._ephemeral:
            return
        self._looked = now // _LOOK_MS
        node = self._node
        blocked = self.detour is not None and self.detour.blocked
        if beyond.wanted(node) or blocked and node.cfg.nat != "never":
            self.ways()
            beyond.stand(node, now, True)
            if self.router is None and isinstance(node.link, UdpLink):
                self.router = beyond.router(node, gateway)

    def close(self) -> None:
        """The node stops: its port goes back."""
        if self.router is not None:
            self.router.stop(now_ms())

    def changed(self) -> None:
        """An EV_WAY came."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def way(self, node_id):
        """The Way to this node, or None."""
        return self._ways.of(node_id[:8]) if self._ways is not None else None

    async def reach(self, node_id, timeout_s=10.0):
        """An endpoint that reaches this node, or None: its Way says why not."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        addr = self.ways().open(node_id, now_ms())
        self._wake()
        while addr is not None:
            w = self.way(node_id)
            if w is None or w.state == NONE:
                return None
            if w.state >= RELAYED and w.use is not None:
                return addr
            left_s = end_s - loop.time()
            if left_s <= 0:
                return None
            future = loop.create_future()
            self._waiting.append(future)
            await asyncio.wait((future,), timeout=left_s)
        return None

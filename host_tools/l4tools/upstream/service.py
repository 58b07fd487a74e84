"""One tier as a process: `python -m l4tools.upstream.service --json-config FILE` (`-` = stdin).

Prints one line `READY {json}` when it serves: tier, pid, id, udp, mqtt (port), nats (url),
nats_pid. Its log goes to stderr. SIGTERM or SIGINT, or with "tied" the end of stdin, stop it
cleanly: nothing more is taken, what is under way is finished, NATS ends. kill -9 loses nothing
that was acknowledged: registrations and readings were on disk before.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

from l4mesh.endpoint import format_endpoint
from l4mesh.wire import put30, u30

from ..errors import ToolError
from ..link import CableLink, UdpLink
from .access import SHOWN
from .broker_bridge import Broker, BrokerBridge
from .config import TierConfig
from .mqtt_bridge import MqttBridge
from .shown_client import ShownClient
from .stores import Stores
from .tcp_side import TcpSide
from .tier import Tier

log = logging.getLogger("l4tools.upstream")

_EPOCH_ZERO_S = 1767225600  # 2026-01-01: seconds since then fit 30 bits for 34 years


def next_epoch(store, now_s=None) -> int:
    """This start's epoch, kept before anything is sent.

    Above the last one, and at least the seconds since 2026: so a tier whose folder was lost is
    still ahead of what its nodes remember of it.
    """
    kept = store.load("epoch")
    last = u30(kept, 0) if kept is not None and len(kept) == 4 else 0
    epoch = max(last + 1, int((time.time() if now_s is None else now_s) - _EPOCH_ZERO_S), 1)
    raw = bytearray(4)
    put30(raw, 0, min(epoch, (1 << 30) - 1))
    if not store.save("epoch", bytes(raw)):
        raise ToolError("The epoch could not be stored. Check the disk and the data folder.")
    return epoch


class Service:
    """A tier with its stores, link and MQTT bridge, in this process and loop."""

    def __init__(self, doc: dict):
        self.cfg = TierConfig(doc)
        self.stores = Stores(self.cfg)
        self.tier = self._bridge = self._shown = None

    async def start(self) -> dict:
        """Returns what READY says."""
        from l4mesh_io.store_fs import FileStore

        cfg = self.cfg
        folder = Path(cfg.data)
        folder.mkdir(parents=True, exist_ok=True)
        store = FileStore(str(folder / "state"))
        await self.stores.start()
        try:
            self.tier = tier = Tier(cfg, self.stores, next_epoch(store))
            tier.save = store.save
            group = store.load("group")
            if group is not None and len(group) == 33:  # newer than the settings, or not taken
                tier.keys.rotate(group[0], group[1:], 0)
            tier.start(self._link(tier, store))
            if cfg.mqtt or cfg.broker:
                self._bridge = tier.mqtt = (
                    BrokerBridge(tier, cfg.broker)
                    if cfg.broker
                    else MqttBridge(tier, self.stores.nc)
                )
                await self._bridge.start()
                await self._show(tier)
            if cfg.tcp_port is not None:
                await self._tcp(tier, store)
            if cfg.tier == 1 and self.stores.nc is not None:
                await tier.pushed.start(self.stores.nc)
        except BaseException:
            await self.stop()
            raise
        return self.describe()

    async def _show(self, tier):
        """Home Assistant hears of boards that a neighbour speaks for. Of NATS servers that are
        somebody else's we know no MQTT user for that: there it does not."""
        nats = self.stores.nats
        broker = self.cfg.broker
        if broker is None and nats is not None:
            host = "127.0.0.1" if nats.listen == "0.0.0.0" else nats.listen
            broker = Broker(host, nats.mqtt_port, SHOWN, nats.password)
        if broker is not None:
            self._shown = ShownClient(tier, broker)
            await self._shown.start()

    def _link(self, tier, store):
        cfg = self.cfg
        if cfg.hub is not None:
            return CableLink(cfg.hub, cfg.vaddr, tier.receive)
        host, _, port = cfg.listen.rpartition(":")
        kept = store.load("port")
        if port == "0" and kept is not None and len(kept) == 2:  # the same after a restart
            with contextlib.suppress(ToolError):
                return UdpLink("%s:%d" % (host, int.from_bytes(kept, "big")), tier.receive)
        link = UdpLink(cfg.listen, tier.receive)
        store.save("port", link.local[4:])
        return link

    async def _tcp(self, tier, store):
        cfg = self.cfg
        kept = store.load("tcpport")
        known = int.from_bytes(kept, "big") if kept is not None and len(kept) == 2 else 0
        tier.tcp = TcpSide(tier)
        where = (cfg.listen.rpartition(":")[0], cfg.tcp_port or known, cfg.tcp_cert, cfg.tcp_key)
        await tier.tcp.start(*where)
        store.save("tcpport", tier.tcp.port.to_bytes(2, "big"))

    def describe(self) -> dict:
        nats = self.stores.nats
        return {
            "tier": self.cfg.tier,
            "pid": os.getpid(),
            "id": self.cfg.node_id.hex(),
            "udp": format_endpoint(self.tier.link.local),
            "tcp": self.tier.tcp.port if self.tier.tcp is not None else None,
            "mqtt": nats.mqtt_port if nats is not None else None,
            "nats": self.stores.url,
            "nats_pid": nats.pid if nats is not None else None,
        }

    async def stop(self) -> None:
        if self.tier is not None:
            await self.tier.pushed.stop()
            if self.tier.tcp is not None:
                await self.tier.tcp.stop()
            await self.tier.stop()
        if self._shown is not None:
            await self._shown.stop()
        if self._bridge is not None:
            await self._bridge.stop()
        await self.stores.stop()


def _read_config(name):
    """The document and, from stdin, the rest stays open: its end is the launcher's end."""
    text = sys.stdin.readline() if name == "-" else Path(name).read_text()
    return json.loads(text)


async def serve(doc: dict) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    service = Service(doc)
    if service.cfg.tied:
        loop.add_reader(0, lambda: None if os.read(0, 4096) else stopped.set())
    starting = asyncio.create_task(service.start())
    asked = asyncio.create_task(stopped.wait())
    await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    print("READY " + json.dumps(starting.result()), flush=True)
    await asked
    if service.cfg.tied:
        loop.remove_reader(0)
    await service.stop()


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.upstream.service")
    parse.add_argument("--json-config", required=True, metavar="FILE", help="- for stdin")
    args = parse.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        doc = _read_config(args.json_config)
        log.setLevel(str(doc.get("level", "INFO")) if isinstance(doc, dict) else "INFO")
        asyncio.run(serve(doc))
    except ToolError as e:
        print(e, file=sys.stderr)
        return e.exit_code
    except (OSError, ValueError) as e:
        print("The settings can't be read (%s). See --json-config." % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

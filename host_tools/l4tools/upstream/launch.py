"""What `l4 upstream` does: plan the tiers, start them, show them, keep them running.

Each tier is a process of its own with its own folder. One that ends by itself is started again,
with growing pauses. SIGTERM or Ctrl-C stops them in order, the nearest to the boards first.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import ToolError
from ..output import clean
from .access import HOME, write_private
from .broker_bridge import Broker
from .config import TierConfig, tier_config
from .process import TierProcess

_EVERYWHERE = (
    "The network file has no address of the tiers, and 0.0.0.0 is none to give to boards: pass "
    "--listen with the address they see, or --upstream to l4 flash."
)
_BASE_PORT = 4110  # L1 4111, L2 4112, L3 4113
_LOOK_S = 0.2
_PAUSE_S = (0.5, 30.0)
_HEALTHY_S = 60  # a tier that served so long starts its pauses anew


def check_address(text: str) -> str:
    """An IPv4 address of this machine; ToolError if it is not."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((text, 0))
            return s.getsockname()[0]
    except OSError as e:
        raise ToolError(
            "%s is no address of this machine (%s). Give the IPv4 address of one of its "
            "interfaces, or 0.0.0.0 for all." % (text, e.strerror or e)
        ) from None


@dataclass
class Plan:
    """Which tiers run here, and how. `up`: {level: "ip:port"} of tiers elsewhere."""

    network: object
    levels: list
    listen: str
    port: int | None
    mqtt_port: int | None
    data: Path
    nats: str | None
    up: dict
    broker: Broker | None = None  # instead of our own MQTT listener
    tcp: dict = field(default_factory=dict)  # tcp_port, tcp_cert, tcp_key
    relay: bool = True

    def configs(self) -> list:
        """The settings of each tier, the farthest from the boards first."""
        return [self._config(level) for level in self.levels]

    def links(self, config: dict, ready: dict) -> None:
        """Tell a tier where those that run here already are; `ready`: {level: READY}."""
        known = {level: text for level, text in config["up"]}
        for level, there in ready.items():
            if level < config["tier"] and level not in self.up:
                known[level] = _reachable(there["udp"])
        config["up"] = [[level, known[level]] for level in sorted(known)]

    def _config(self, level):
        above = {t: a[0] for t, a in self.network.upstream.items() if a}
        above.update(self.up)
        nearest = level == max(self.levels)
        mqtt = self.mqtt_port is not None and nearest and level > 1 and not self.broker
        options = {"nats": self.nats} if self.nats else {}
        options.update(self.tcp)
        if not self.relay:
            options["relay"] = False
        if mqtt:
            options["mqtt" if self.nats else "mqtt_port"] = (
                self.mqtt_port if not self.nats else True
            )
        if self.broker and nearest:
            options["broker"] = asdict(self.broker)
        return tier_config(
            self.network,
            level,
            (Path(self.data) / ("l%d" % level)).absolute(),
            up=above,
            listen=self.listen,
            port=self.port or self._port(level),
            **options,
        )

    def _port(self, level):
        known = self.network.upstream.get(level)
        return int(known[0].rpartition(":")[2]) if known else _BASE_PORT + level


def remember(plan: Plan, path: Path, phrase: str) -> list[str]:
    """Write where the tiers listen into the network file, for boards that are given it later.

    Only where the file says nothing yet, or a loopback address: another one somebody has chosen,
    say that of a router in front. Returns what people should know.
    """
    made, said, new = plan.network, [], {}
    if plan.listen == "0.0.0.0":
        return [] if made.upstream else [_EVERYWHERE]
    for level in plan.levels:
        here = "%s:%d" % (plan.listen, plan.port or plan._port(level))
        there = made.upstream.get(level)
        if not there or (there != [here] and all(a.startswith("127.") for a in there)):
            new[level] = [here]
        elif here not in there:
            said.append(
                "Boards are told that L%d is at %s, as the network file says; it listens at %s. "
                "If they cannot find it there, pass --upstream to l4 flash or l4 provision."
                % (level, ", ".join(there), here)
            )
    if new:
        made.upstream.update(new)
        made.save(path, phrase)
    return said


def read_config(path: Path) -> dict:
    try:
        doc = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise ToolError(
            "%s can't be read as the settings of a tier (%s). Make it with "
            "l4 upstream --tier N --export FILE." % (path, e)
        ) from None
    if not isinstance(doc, dict):
        raise ToolError("%s holds no settings of a tier. Make it with --export." % path)
    TierConfig(doc)
    return doc


def export(plan: Plan, path: Path) -> None:
    """The settings of the plan's one tier, 0600; its folder is `data` on the other machine."""
    config = plan.configs()[0]
    config["data"] = "l4-upstream-l%d" % config["tier"]
    if plan.listen == "127.0.0.1":
        config["listen"] = "0.0.0.0"  # it is meant for another machine
    try:
        write_private(path, json.dumps(config, indent=1) + "\n")
    except OSError as e:
        raise ToolError("%s can't be written (%s)." % (path, e.strerror or e)) from None


def run(out, configs: list, links=None) -> None:
    """Start the tiers, show where they are, and keep them running until a signal."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    tiers, ready = [], {}
    try:
        for config in configs:
            if stop.is_set():
                return
            if links is not None:
                links(config, ready)
            tier = TierProcess(config, _printer(config["tier"]))
            tiers.append(tier)
            tier.start()
            ready[config["tier"]] = tier.ready
        _show(out, tiers)
        _keep(tiers, stop)
    finally:
        for tier in reversed(tiers):
            tier.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(out, tiers):
    rows = [
        {
            "tier": t.name,
            "mesh": t.ready["udp"],
            "mqtt": _mqtt(t),
            "nats": t.ready["nats"],
            "node": t.ready["id"],
            "data": t.config["data"],
        }
        for t in reversed(tiers)
    ]
    out.table(rows)
    known = json.dumps([[t.config["tier"], _reachable(t.ready["udp"])] for t in reversed(tiers)])
    for t in tiers:
        if t.ready["mqtt"]:
            out.note(
                "Home Assistant logs in there as %s; its password is in %s."
                % (HOME, Path(t.config["data"]) / "nats/home-assistant.txt")
            )
    for t in tiers:
        if t.config.get("tcp_port"):
            host = _reachable(t.ready["udp"]).partition(":")[0]
            at = json.dumps([[t.config["tier"], "%s:%d" % (host, t.config["tcp_port"])]])
            out.note('Also by TCP. In the config of a board without UDP: "tcp": %s.' % at)
    out.note('It serves. In a board\'s config: "upstream": %s. Stop with Ctrl-C.' % known)


def _mqtt(t):
    """Where boards find MQTT."""
    if t.config.get("broker"):
        return Broker(**t.config["broker"]).where
    return "%s:%d" % (t.config["listen"], t.ready["mqtt"]) if t.ready["mqtt"] else None


def _keep(tiers, stop):
    pause_s = dict.fromkeys((t.name for t in tiers), _PAUSE_S[0])
    again_s, up_s = {}, {}
    while not stop.wait(_LOOK_S):
        for tier in tiers:
            now_s = time.monotonic()
            if tier.alive:
                if now_s - up_s.setdefault(tier.name, now_s) >= _HEALTHY_S:
                    pause_s[tier.name] = _PAUSE_S[0]
                continue
            up_s.pop(tier.name, None)
            if tier.name not in again_s:
                again_s[tier.name] = now_s + pause_s[tier.name]
                pause_s[tier.name] = min(2 * pause_s[tier.name], _PAUSE_S[1])
                _say("%s ended by itself; it is started again." % tier.name)
            elif now_s >= again_s[tier.name]:
                del again_s[tier.name]
                tier.stop()
                try:
                    tier.start()
                except ToolError as e:
                    _say(str(e))


def _printer(level):
    prefix = "L%d: " % level

    def say(line):
        _say(line if line.startswith(prefix) else prefix + line)

    return say


def _say(line):
    try:
        print(clean(line), file=sys.stderr, flush=True)
    except OSError:  # whoever read it has gone; the tiers go on
        sys.stderr = open(os.devnull, "w")


def _reachable(endpoint):
    """0.0.0.0 is everywhere; from this machine itself, that is loopback."""
    return endpoint.replace("0.0.0.0:", "127.0.0.1:")

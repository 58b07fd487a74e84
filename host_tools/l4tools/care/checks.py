"""What is right and wrong with a board, check by check; each finding names the cause and the fix.

`on_usb(port, network)` looks at a board through its REPL; for a node that runs see checks_node.py.
`network` may be None: then what needs the keys is skipped. A check that cannot be made because an
earlier one failed is left out.
"""

import hashlib
import json
import time
from typing import NamedTuple

from l4mesh.config import BadConfig, Config
from l4mesh.keys import mqtt_password, node_id, node_key

from ..errors import ToolError
from ..output import split_error
from . import facts, flightlog
from .mqtt import Mqtt, MqttRefused

OK, WARN, BAD, SKIPPED = "ok", "warn", "bad", "skipped"
_TRY_MS = 10000
_WEAK_DBM = -80
_CLOCK_S = 5
_RECENT = 3  # boots for which a crash is news
_OURS = ("/lib/l4mesh", "/lib/l4mesh_io")
_USERS = ("/config.json", "/app.py")
_REASONS = {
    200: ("the access point fell silent", "move the board nearer to it, or restart it"),
    201: ("no such network is in the air", "check the name; ESP32 hears 2.4 GHz only"),
    202: ("wrong password", "correct it: l4 provision, or wifi in config.json"),
    203: ("the access point refuses", "it may be full or keep a list of allowed devices"),
    204: ("wrong password, or a weak signal", "correct it, or move the board nearer"),
}


class Finding(NamedTuple):
    check: str
    verdict: str
    cause: str
    fix: str = ""


def well(found: list[Finding]) -> bool:
    return all(f.verdict in (OK, SKIPPED) for f in found)


def failure(check: str, e: ToolError) -> Finding:
    cause, fix = split_error(str(e))
    return Finding(check, BAD, cause, fix)


# -- over USB ---------------------------------------------------------------------------------


def on_usb(port: str | None, network=None) -> list[Finding]:
    from ..usb import ports
    from ..usb.repl import Repl

    found: list[Finding] = []
    try:
        where = ports.find(port)
        repl = Repl(where)
    except ToolError as e:
        return [failure("port", e)]
    with repl:
        found.append(Finding("port", OK, "%s can be used." % where.device))
        try:
            repl.enter()
        except ToolError as e:
            return [*found, failure("board", e)]
        found.append(
            Finding("board", OK, "MicroPython %s answers." % ".".join(map(str, repl.version)))
        )
        try:
            found += _inside(repl, network)
        except ToolError as e:
            found.append(failure("board", e))
        try:
            repl.soft_reset()
        except ToolError as e:
            found.append(failure("restart", e))
    return found


def _inside(repl, network) -> list[Finding]:
    state = json.loads(repl.exec(facts.STATE))
    at_s = time.time()  # what follows takes seconds
    repl.enter(soft_reset=True)  # room for what follows; the firmware leaves little
    tree = repl.tree()
    found = [firmware(tree)]
    cfg, finding = config(repl, tree)
    found.append(finding)
    found.append(keys(state["keys"], network))
    if cfg is not None:
        nets = [list(w) for w in cfg.wifi]
        limit_s = 30 + 11 * len(nets)
        found.append(wifi(nets, json.loads(repl.exec(facts.WIFI % (_TRY_MS, nets), limit_s))))
    found.append(clock(state["time"] + (946684800 if state["zero"] == 2000 else 0), at_s))
    found.append(safe(state["safe"]))
    found.append(crash(flightlog.over_usb(repl)))
    public = (state["keys"] or {}).get("public")
    if cfg is not None and cfg.mqtt:
        found.append(broker(cfg.mqtt, network, public, cfg))
    if cfg is not None and cfg.upstream:
        found += upstream(dict(reversed(cfg.upstream)), network)
    return found


def firmware(tree: dict) -> Finding:
    """The board's files against what this installation would put there."""
    from ..image import compiled, project_files
    from ..shrink import project

    there = {p: h for p, (_, h) in tree.items()}
    if "/main.py" not in there or not any(p.startswith(_OURS) for p in there):
        return Finding(
            "firmware", BAD, "The L4 firmware is not on the board.", "Put it there: l4 deploy"
        )
    try:
        wanted = compiled(dict(project(project_files())))
    except (ToolError, OSError) as e:
        return Finding("firmware", SKIPPED, "This installation has no sources (%s)." % e)
    hashes = {"/" + p: hashlib.sha256(d).hexdigest() for p, d in wanted.items()}
    other = sorted(p for p, h in hashes.items() if p not in _USERS and there.get(p) != h)
    if not other:
        text = "All %d files are those of this installation." % len(hashes)
        return Finding("firmware", OK, text)
    some = ", ".join(other[:3]) + (", .." if len(other) > 3 else "")
    return Finding(
        "firmware", WARN, "%d files differ from this installation: %s." % (len(other), some),
        "Bring the board up to date: l4 deploy",
    )  # fmt: skip


def config(repl, tree: dict):
    """(Config or None, Finding)"""
    if "/config.json" not in tree:
        return None, Finding(
            "config", BAD, "There is no config.json.", "Give it its settings: l4 provision"
        )
    try:
        cfg = Config(json.loads(repl.read("/config.json")))
    except BadConfig as e:
        return None, Finding("config", BAD, "config.json: %s." % e, "Correct it: l4 provision")
    except ValueError as e:
        return None, Finding("config", BAD, "config.json is no JSON (%s)." % e, "l4 provision")
    return cfg, Finding("config", OK, "config.json is valid.")


def keys(there: dict | None, network) -> Finding:
    give = "Give it its keys: l4 provision"
    if there is None:
        return Finding("keys", SKIPPED, "This board has no NVS to keep keys in.")
    missing = [k for k in ("public", "network", "nodekey", "owner", "group") if not there.get(k)]
    if missing:
        return Finding("keys", BAD, "The board lacks %s." % ", ".join(missing), give)
    if network is None:
        return Finding("keys", OK, "Keys of network %s are there." % there["network"])
    if there["network"] != network.network_id.hex():
        return Finding(
            "keys", BAD, "The board belongs to network %s, not to %s (%s)."
            % (there["network"], network.name, network.network_id.hex()),
            "Name its network with --network, or give it to this one: l4 provision",
        )  # fmt: skip
    me = node_id(bytes.fromhex(there["public"]))
    right = hashlib.sha256(node_key(network.master, me)).hexdigest()
    if there["nodekey"] != right or there["owner"] != network.owner_public.hex():
        return Finding("keys", BAD, "Its node key or owner's key is wrong.", give)
    groups = {hashlib.sha256(bytes((n,)) + k).hexdigest() for n, k in network.groups}
    if there["group"] not in groups:
        return Finding(
            "keys", BAD, "Its group key (number %d) is none of this network's." % there["number"],
            give,
        )  # fmt: skip
    return Finding("keys", OK, "Node %s of network %s." % (me.hex(), network.name))


def wifi(nets: list, seen: dict) -> Finding:
    if not nets:
        return Finding("wifi", BAD, "config.json names no WiFi.", "Add one: l4 provision")
    if not seen["up"]:
        heard = {name: (channel, rssi) for name, channel, rssi in seen["heard"]}
        said = []
        fix = "Check name and password: l4 provision"
        for ssid, status in seen["tried"]:
            cause, better = _REASONS.get(status, ("no answer (%s)" % status, ""))
            if ssid in heard:
                cause += ", heard on channel %d at %d dBm" % heard[ssid]
            said.append("%s: %s" % (ssid, cause))
            fix = better[:1].upper() + better[1:] if better else fix
        return Finding("wifi", BAD, "Not connected. %s." % "; ".join(said), fix)
    text = "Connected as %s, channel %s, %s dBm." % (seen["ip"], seen["channel"], seen["rssi"])
    if seen["tried"]:
        text += " Before that in vain: %s." % ", ".join(s for s, _ in seen["tried"])
    if seen["rssi"] is not None and seen["rssi"] < _WEAK_DBM:
        return Finding("wifi", WARN, text, "The signal is weak: move the board or its antenna")
    return Finding("wifi", OK, text)


def clock(board_s: float, now_s: float | None = None) -> Finding:
    off_s = board_s - (time.time() if now_s is None else now_s)
    if board_s < 1735689600:
        return Finding(
            "clock", WARN, "The board has no time of day.",
            "It gets one when it joins an upstream; readings keep their order until then",
        )  # fmt: skip
    if abs(off_s) > _CLOCK_S:
        return Finding(
            "clock", WARN, "The board's clock is %+.0f s off this machine's." % off_s,
            "Compare this machine's clock with NTP; the board follows its upstream",
        )  # fmt: skip
    return Finding("clock", OK, "Board and this machine agree to %.0f s." % max(1, abs(off_s)))


def safe(reason: str | None) -> Finding:
    if reason is None:
        return Finding("start", SKIPPED, "The board does not say how it started.")
    if reason.startswith("Safe mode"):
        return Finding("start", BAD, reason, "See why: l4 log --last-crash")
    return Finding("start", OK, reason)


def crash(log) -> Finding:
    c = log.crash
    if c is None:
        return Finding("crashes", OK, "No crash is recorded.")
    text = "Boot %d ended by %s" % (c.boot, c.cause)
    trace = [e.text for e in c.entries if e.kind == "trace" and e.boot == c.boot]
    if trace:
        text += ": " + trace[-1].rpartition("\n")[2]
    ago = (log.boot - c.boot) & 0xFFFF
    if ago > _RECENT:
        return Finding("crashes", OK, "%s, %d boots ago." % (text, ago))
    return Finding("crashes", WARN, text + ".", "See what led to it: l4 log --last-crash")


def broker(where: str, network, public: str | None, cfg=None) -> Finding:
    """Does the broker take the node's own log-in? Asked from this machine."""
    if cfg is not None and cfg.mqtt_tls:
        return Finding("broker", SKIPPED, "It speaks TLS; the board has its CA: l4 why NODE.")
    if cfg is not None and cfg.mqtt_user:
        return _log_in(where, cfg.mqtt_user, cfg.mqtt_password, "Correct mqtt_user, mqtt_password")
    if network is None or not public:
        return Finding("broker", SKIPPED, "Without the network's file its password is not known.")
    me = node_id(bytes.fromhex(public))
    password = mqtt_password(node_key(network.master, me))
    fix = "The node's user is made when it first joins: see l4 status and upstream first"
    return _log_in(where, me.hex(), password, fix)


def _log_in(where, user, password, fix):
    host, _, port = where.rpartition(":")
    try:
        Mqtt(host, int(port), user, password, 3.0).close()
    except MqttRefused as e:
        text = "The broker at %s refuses the node: %s." % (where, e)
        return Finding("broker", BAD, text, fix)
    except OSError as e:
        return Finding(
            "broker", BAD, "No broker answers at %s (%s)." % (where, e.strerror or e),
            "Start it (l4 upstream), or correct mqtt in config.json",
        )  # fmt: skip
    return Finding("broker", OK, "The broker at %s lets the node in." % where)


def upstream(addresses: dict, network) -> list[Finding]:
    """Ping the tiers that the board is told to use, from this machine."""
    if network is None:
        return [Finding("upstream", SKIPPED, "Without the network's file tiers do not answer.")]
    from ..mesh.way import Way

    way = Way(network, None, addresses)

    async def ask(n):
        return [await tier(n, network, level, addr) for level, addr in sorted(addresses.items())]

    try:
        return way.run(ask)
    except ToolError as e:
        return [failure("upstream", e)]


async def tier(n, network, level: int, address: str) -> Finding:
    from l4mesh.endpoint import parse_endpoint

    name = "upstream L%d" % level
    try:
        ms = await n.ping(network.tier_id(level), 2.0, parse_endpoint(address))
    except ToolError:
        return Finding(
            name, BAD, "L%d does not answer at %s." % (level, address),
            "Start it (l4 upstream), open its UDP port, or correct upstream in config.json",
        )  # fmt: skip
    return Finding(name, OK, "L%d answers at %s in %.0f ms." % (level, address, ms))

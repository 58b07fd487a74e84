# floor 11: firmware
# Makes everything once: settings, WiFi, identity, node, queue, sensors. RAM: none after.
"""begin(s) gives the supervisor `s` its parts; True: the node can run, else the board's public
key: the owner's tool still has to give this board its keys. supervisor.py unloads this then,
and what only it imports.
"""

import gc
import os
import time

import console
import machine
import network
import safe_mode
import start_app
from board import Board
from l4mesh import ed25519
from l4mesh.endpoint import id_text, parse_endpoint
from l4mesh.identity import Identity
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh.wire import T_HAND
from l4mesh_io import clock, recorder
from l4mesh_io.entropy import entropy, make_seed
from l4mesh_io.runner import Runner
from l4mesh_io.serial import Serial
from l4mesh_io.udp import Udp
from l4mesh_io.unload import made_once, unload
from l4mesh_io.watchdog import Watchdog
from l4mesh_io.wifi import Wifi
from provision import open_store

_FIRST_WAIT_MS = 20000
_WDT_MS = 30000


def begin(s):
    _first(s)
    if not s.safe:
        start_app.load(s)
    _wait(s)
    return _node(s)


def _first(s):
    """Settings, and the radio."""
    s.serial = Serial(s.improv)
    s.safe = safe_mode.begin()
    _record()
    s.cfg, trouble = _settings()
    # The checks are larger than the settings. (`l4config`: what an image calls the two.)
    unload("settings", "l4mesh.config_check", "l4config")
    gc.collect()
    if trouble:
        console.say(trouble)
        s.safe = True
    if s.safe:
        console.say("safe mode: " + (trouble or safe_mode.reason()))
    s.wlan = network.WLAN(network.STA_IF)
    s.wlan.active(True)  # from here on os.urandom is truly random
    s.wifi = Wifi(s.cfg.wifi, s.wlan, s.cfg.name or "l4node", network.hostname)
    s.dog = Watchdog(_WDT_MS)


def _record():
    """Events are kept from here on. What a boot that ended badly left goes to flash."""
    from l4mesh_io import crashlog

    said = crashlog.begin(safe_mode.was_planned())
    if said:
        console.say(said)
    unload("l4mesh_io.crashlog")


def _settings():
    import settings

    return settings.load()


def _wait(s):
    """Give WiFi a moment; without it the sensors start all the same."""
    end = time.ticks_add(time.ticks_ms(), _FIRST_WAIT_MS)
    while s.cfg.wifi and not s.wifi.up and time.ticks_diff(end, time.ticks_ms()) > 0:
        now = clock.now()
        time.sleep_ms(min(s.poll_wifi(now), s.serial.poll(now), 20))
        s.dog.feed()


def _node(s):
    """True, or the public key of a board that has to be given its keys."""
    cfg = s.cfg
    store = open_store()
    ident = Identity.load(store, lambda: make_seed(machine.unique_id()), ed25519.public_key)
    if ident.missing:
        return id_text(ident.public)
    _no_ticket()
    group = parse_endpoint("%s:%d" % (cfg.group, cfg.port))
    ip, mask = s.address()
    s.link = Udp(ip, cfg.port, group, True, mask)
    seed = entropy(4)
    rng = XorShift((seed[0] << 16) | (seed[1] << 8) | seed[2])
    now = clock.now()
    s.node = node = Node(cfg, ident, s.link, rng, entropy, now, store.save)
    console.say("node %s epoch %d" % (id_text(node.id), ident.epoch))
    s.runner = Runner(node, s.link, clock.now, s.dog.feed)
    s.runner.on_event(s.event)
    s.runner.add(s.serial.poll)
    s.runner.add(s.poll_wifi)
    s.runner.add(s.poll_health)
    s.runner.add(recorder.poll)
    node.notes["wifi"] = s.wifi.why
    node.notes["boot"] = safe_mode.reason
    node.update = s.update
    s.runner.add(s.poll_update)
    node.caring = s.care
    s.board = Board(
        cfg.battery_pin,
        cfg.battery_divider,
        cfg.led_pin,
        cfg.interval_s,
        cfg.metered,
        s.wifi,
    )
    s.board.runner = s.runner
    made_once(node)
    gc.collect()
    if not s.safe:
        _add_queue(s, rng)
        _add_mqtt(s, ident)
        start_app.add(s)
        _add_home(s, rng)
        _add_listening(s, rng)
    _add_ota(s)
    s.sample(now)
    s.runner.add(s.sample)
    node.start(now)
    return True


def _no_ticket():
    """One that was used: the power failed between saving the keys and this."""
    try:
        if "ticket" in os.listdir("/"):
            os.remove("/ticket")
    except OSError as e:
        console.say("/ticket stays: %r" % e)


def _add_queue(s, rng):
    from l4mesh.queue import Queue
    from l4mesh_io.store_fs import FileSegments

    q = Queue(
        FileSegments("/queue"), entropy, s.node.counters, s.cfg.queue_segments,
        s.cfg.volatile,
    )  # fmt: skip
    q.open()
    s.node.attach_queue(q, rng)
    from timekeeper import Timekeeper

    s.time = Timekeeper(s)
    s.time.mark()
    if s.cfg.custody == "auto" and s.node.keys.link_seal(None):
        s.node.inbox.handle(T_HAND, s.on_hand)
        s.runner.add(s.poll_custody)
        if "kept" in os.listdir("/") and os.listdir("/kept"):
            s.hands().borrow()


def _add_ota(s):
    """Where there ever was an update: is one on trial, or was it taken back?"""
    if "ota" in os.listdir("/"):
        import ota_judge

        ota_judge.begin(s)


def _add_mqtt(s, ident):
    if s.cfg.mqtt and ident.node_key is not None:
        import uplink

        uplink.begin(s, ident)
        unload("uplink")
        if s.node.uplink is not None:
            type(s.node.uplink).__init__ = None  # made once


def _add_home(s, rng):
    if s.node.uplink is None or not s.cfg.ha:
        return
    import home_start
    from l4mesh import __version__

    type(home_start.begin(s, rng, __version__)).__init__ = None  # made once
    unload("home_start")


def _add_listening(s, rng):
    wanted = getattr(s.app, "listen", None)
    if wanted:
        import listening

        listening.begin(s, wanted, rng)

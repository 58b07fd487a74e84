# floor 11: firmware
# Makes everything once: identity, node, queue, sensors. RAM: none after.
"""begin(s) gives the supervisor `s` its parts; True: the node can run, else the board's public
key: the owner's tool still has to give this board its keys. supervisor.py unloads this module
then, and what only it imports.
"""

import gc
import os

import console
import machine
import ondemand
import safe_mode
from board import Board
from l4mesh import ed25519
from l4mesh.endpoint import id_text, parse_endpoint
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh.wire import T_HAND
from l4mesh_io import clock, recorder
from l4mesh_io.runner import Runner
from l4mesh_io.udp import Udp
from l4mesh_io.unload import made_once, unload


def begin(s):
    _first(s)
    if not s.safe:
        _load_app(s)
    _wait(s)
    # Each part goes before the next one comes. (`l4app`: what an image calls two of these.)
    unload("start_first", "start_app", "sensor_check", "l4app")
    gc.collect()
    return _node(s)


def _first(s):
    from start_first import begin

    begin(s)


def _load_app(s):
    """It comes early, while there is room to compile it."""
    from start_app import load

    load(s)


def _wait(s):
    from start_first import wait

    wait(s)


def _node(s):
    """True, or the public key of a board that has to be given its keys."""
    cfg = s.cfg
    sleeper = _sleeper(s)
    ident, entropy = _identity(sleeper and sleeper.epoch)
    unload("provision", "l4mesh.identity", "l4mesh_io.entropy", "l4mesh_io.store_nvs")
    if ident.missing:
        return id_text(ident.public)
    _no_ticket()
    group = parse_endpoint("%s:%d" % (cfg.group, cfg.port))
    ip, mask = s.address()
    s.link = Udp(ip, cfg.port, group, True, mask)
    seed = entropy(4)
    rng = XorShift((seed[0] << 16) | (seed[1] << 8) | seed[2])
    now = clock.now()
    s.node = node = Node(cfg, ident, s.link, rng, entropy, now, s.save)
    if sleeper and sleeper.nap:
        node.tx.counter = sleeper.nap.counter  # before anybody can send
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
    s.board.sleep_s = cfg.sleep_s  # known to app.py, and to Home Assistant
    made_once(node)
    made_once(s)
    gc.collect()
    if not s.safe:
        _add_queue(s, rng, entropy)
        _add_mqtt(s, ident)
        _add_app(s)
        _add_home(s, rng)
        _add_listening(s, rng)
        _add_ble(s, rng)
    _add_ota(s)
    s.sample(now)
    s.runner.add(s.sample)
    _begin(s, sleeper, now)
    return True


def _sleeper(s):
    """What puts this board to sleep, where the settings say so."""
    if not s.cfg.sleep_s or s.safe:
        return None
    from sleeper import Sleeper

    return Sleeper(s.cfg)


def _begin(s, sleeper, now):
    if sleeper:
        sleeper.ready(s)
    else:
        ondemand.begin(s)
    s.node.start(now)
    if sleeper:
        sleeper.started()


def _identity(epoch):
    from l4mesh.identity import Identity
    from l4mesh_io.entropy import entropy, make_seed
    from provision import open_store

    seed = lambda: make_seed(machine.unique_id())
    return Identity.load(open_store(), seed, ed25519.public_key, epoch), entropy


def _no_ticket():
    """One that was used: the power failed between saving the keys and this."""
    try:
        if "ticket" in os.listdir("/"):
            os.remove("/ticket")
    except OSError as e:
        console.say("/ticket stays: %r" % e)


def _add_queue(s, rng, entropy):
    from l4mesh.queue import Queue
    from l4mesh_io.store_fs import FileSegments

    q = Queue(
        FileSegments("/queue"), entropy, s.node.counters, s.cfg.queue_segments,
        s.cfg.volatile,
    )  # fmt: skip
    q.open()
    s.node.attach_queue(q, rng)
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


def _add_app(s):
    from start_app import add

    add(s)


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


def _add_ble(s, rng):
    if isinstance(s.ble, str):  # why there is none
        s.node.notes["bluetooth"] = s.ble.strip  # gives the sentence, and holds no module
        s.ble = None
    elif s.ble is not None:
        import bluetooth_start

        bluetooth_start.begin(s, rng)
        unload("bluetooth_start", "bluetooth_first")
        import meeting_start

        meeting_start.begin(s)
        unload("meeting_start")


def _add_listening(s, rng):
    wanted = getattr(s.app, "listen", None)
    if wanted:
        import listening

        listening.begin(s, wanted, rng)

# floor 11: firmware
# Brings up WiFi, identity, node, queue and sensors; keeps them running. RAM: docs/memory.md.
"""run(): the whole firmware. Whatever goes wrong ends in a sentence on the console and a reset; a
broken config or five bad boots in a row in safe mode: WiFi, hello and the REPL, no application, no
readings. Ctrl-C stops it and leaves the REPL. Radios start before the rest (C3 and C6 need that).
"""

import gc
import sys
import time

import console
import machine
import network
import safe_mode
import settings
from l4mesh import ed25519
from l4mesh.endpoint import id_text
from l4mesh.events import EV_CLOCK
from l4mesh.identity import Identity
from l4mesh.keys import mqtt_password
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh_io import clock
from l4mesh_io.entropy import entropy, make_seed
from l4mesh_io.runner import Runner
from l4mesh_io.udp import Udp
from l4mesh_io.watchdog import Watchdog
from l4mesh_io.wifi import Wifi
from provision import open_store
from sensors import Board, Sensors

_SAMPLE_MS = 5000
_FIRST_WAIT_MS = 20000
_GOOD_MS = 60000
_WDT_MS = 30000
_COMPLAIN_MS = 60000


def _four(text):
    return bytes([int(x) for x in text.split(".")])


class Supervisor:
    def __init__(self):
        self.safe = safe_mode.begin()
        self.cfg, trouble = settings.load()
        if trouble:
            console.say(trouble)
            self.safe = True
        if self.safe:
            console.say("safe mode: " + (trouble or safe_mode.reason()))
        self.wlan = network.WLAN(network.STA_IF)
        self.wlan.active(True)  # from here on os.urandom is truly random
        name = self.cfg.name or "l4node"
        self.wifi = Wifi(self.cfg.wifi, self.wlan, name, network.hostname)
        self.dog = Watchdog(_WDT_MS)
        self.node = None
        self.app = None
        self._good = False
        self._complained = 0
        self._started = clock.now()

    def first_wait(self):
        """Give WiFi a moment; without it the sensors start all the same."""
        end = time.ticks_add(time.ticks_ms(), _FIRST_WAIT_MS)
        while self.cfg.wifi and not self.wifi.up and time.ticks_diff(end, time.ticks_ms()) > 0:
            time.sleep_ms(min(self.wifi.poll(clock.now()), 20))
            self.dog.feed()

    def make_node(self):
        """False when the owner's tool still has to give this board its keys."""
        cfg = self.cfg
        store = open_store()
        ident = Identity.load(store, lambda: make_seed(machine.unique_id()), ed25519.public_key)
        if ident.missing:
            console.say("UNPROVISIONED " + id_text(ident.public))
            console.say("give it its keys: `l4 network provision`, see docs/cli.md")
            return False
        group = _four(cfg.group) + bytes((cfg.port >> 8, cfg.port & 255))
        ip, mask = self._address()
        self.link = Udp(ip, cfg.port, group, True, mask)
        seed = entropy(4)
        rng = XorShift((seed[0] << 16) | (seed[1] << 8) | seed[2])
        now = clock.now()
        self.node = node = Node(cfg, ident, self.link, rng, entropy, now, store.save)
        console.say("node %s epoch %d" % (id_text(node.id), ident.epoch))
        self.runner = Runner(node, self.link, clock.now, self.dog.feed)
        self.runner.on_event(self.event)
        self.runner.add(self.poll_wifi)
        self.runner.add(self.poll_health)
        node.notes["wifi"] = self.wifi.why
        node.notes["boot"] = safe_mode.reason
        self.board = Board(
            cfg.battery_pin,
            cfg.battery_divider,
            cfg.led_pin,
            cfg.interval_s,
            cfg.metered,
            self.wifi,
        )
        self.board.runner = self.runner
        if not self.safe:
            self.add_queue(rng)
            self.add_mqtt(ident)
            self.add_app()
        self.sample(now)
        self.runner.add(self.sample)
        node.start(now)
        return True

    def _address(self):
        if not self.wifi.up:
            return bytes(4), b"\xff\xff\xff\x00"
        c = self.wlan.ifconfig()
        self.wifi.changed = False
        return _four(c[0]), _four(c[1])

    def add_queue(self, rng):
        from l4mesh.queue import Queue
        from l4mesh_io.store_fs import FileSegments

        q = Queue(
            FileSegments("/queue"), entropy, self.node.counters, self.cfg.queue_segments,
            self.cfg.volatile,
        )  # fmt: skip
        q.open()
        self.node.attach_queue(q, rng)

    def add_mqtt(self, ident):
        if not self.cfg.mqtt or ident.node_key is None:
            return
        from l4mesh_io.mqtt import MqttUplink

        host, port = self.cfg.mqtt.split(":")
        user = id_text(ident.id)
        up = MqttUplink(
            host, int(port), user, mqtt_password(ident.node_key), user, feed=self.dog.feed
        )
        up.on_frame(self.from_mqtt)
        self.node.uplink = up
        self.runner.add(self.poll_mqtt)

    def add_app(self):
        """The user's sensors; what goes wrong in there must not stop the node."""
        try:
            import app

            self.sensors = Sensors(app.sensors(self.board), self.board.led)
            self.node.notes["sensors"] = self.sensors.why
            self.runner.add(self.poll_sensors)
            if hasattr(app, "loop"):
                self.runner.add(self.poll_app)
            self.app = app
        except Exception as e:
            console.say("app.py: %r; the node runs without it" % e)
            sys.print_exception(e)

    # jobs of the runner: f(now) -> ms

    def poll_wifi(self, now):
        wait = self.wifi.poll(now)
        if self.wifi.changed:
            ip, mask = self._address()
            self.link.moved(ip, mask)
            self.node.moved(now)
            console.say("WiFi is up, address %s" % self.wifi.ip())
        if self.wifi.want_reset:
            console.say("WiFi did not come back in 10 rounds; restarting")
            safe_mode.planned_reset()
            machine.reset()
        return wait

    def poll_mqtt(self, now):
        return self.node.uplink.poll(now)

    def from_mqtt(self, buf, n):
        self.node.receive(buf, n, bytes(6), clock.now())

    def poll_sensors(self, now):
        return self.sensors.poll(now, self.submit)

    def poll_app(self, now):
        try:
            return self.app.loop(self.node, now)
        except Exception as e:
            console.say("app.loop: %r; called again in a minute" % e)
            return 60000

    def poll_health(self, now):
        if not self._good and time.ticks_diff(now, self._started) >= _GOOD_MS:
            self._good = True
            safe_mode.mark_good()
        return 60000 if self._good else 5000

    def sample(self, now):
        gc.collect()
        self.node.sample(now, self.board.signals())
        return _SAMPLE_MS

    def submit(self, data, n):
        t = clock.wall_ms6()
        known = t is not None
        if not known:  # since boot, to the minute: told apart by a flag
            t = (self.node.minutes.minute * 60000).to_bytes(6, "big")
        taken = self.node.submit(data, n, t, known, clock.error_s() if known else 60)
        if not taken and time.ticks_diff(clock.now(), self._complained) >= 0:
            self._complained = time.ticks_add(clock.now(), _COMPLAIN_MS)
            console.say(
                "a reading could not be stored: flash is full or failing; the node goes on"
            )
        return taken

    def event(self, e):
        if e[0] == EV_CLOCK:
            clock.set_wall(e[1])
        console.tell(e)
        if self.app is not None and hasattr(self.app, "event"):
            try:
                self.app.event(self.node, e)
            except Exception as x:
                console.say("app.event: %r" % x)


def run():
    gc.threshold(16384)
    s = None
    try:
        s = Supervisor()
        s.first_wait()
        if s.make_node():
            gc.collect()
            s.runner.run()
    except KeyboardInterrupt:
        console.say("stopped; the REPL is yours")
        if s is not None:
            s.dog.relax()
            if s.node is not None:
                s.node.stop(clock.now(), 1)
    except Exception as e:
        console.say("stopped by %r; restarting" % e)
        sys.print_exception(e)
        time.sleep(1)
        machine.reset()

# floor 12: firmware
# Keeps WiFi, node, queue and sensors running, once start.py has made them. RAM: docs/memory.md.
"""run(): the whole firmware. Whatever goes wrong ends in a sentence on the console and a reset; a
broken config or five bad boots in a row in safe mode: WiFi, hello and the REPL, no application, no
readings. Ctrl-C stops it and leaves the REPL (serial.py reads it); Improv packets on the same line
are answered. Radios start before the rest (C3 and C6 need that). What only the start needs is
unloaded before the loop begins: its modules, and constructors of what is made once.
"""

import gc
import sys
import time

import console
import machine
import safe_mode
from l4mesh import ticks
from l4mesh.counters import C_MEM_ERROR
from l4mesh.events import EV_CLOCK
from l4mesh.peers import O_SAID
from l4mesh.wire import T_OFFER, T_WANT
from l4mesh_io import clock, recorder
from l4mesh_io.unload import made_once, unload

_SAMPLE_MS = 5000
_COMPLAIN_MS = 60000


def _four(text):
    return bytes([int(x) for x in text.split(".")])


class Supervisor:
    """The parts, set by start.py: cfg, safe, wlan, wifi, dog, link, node, runner, board, app."""

    def __init__(self):
        self.node = None
        self.app = None
        self.serial = None
        self._told = ""
        self.dog = None
        self.time = None
        self.safe = False
        self._good = False
        self.judge = None  # of an update on trial
        self.updater = None
        self.custody = self.ble = None  # custody.py's, l4mesh_io/ble.py's
        self._cut = 0
        self._care = None
        self._answered = 0
        self._complained = self._started = clock.now()

    def address(self):
        if not self.wifi.up:
            return bytes(4), b"\xff\xff\xff\x00"
        c = self.wlan.ifconfig()
        self.wifi.changed = False
        return _four(c[0]), _four(c[1])

    def care(self):
        """What carries out the owner's orders: loaded with the first of them."""
        if self._care is None:
            from care import Care

            self._care = Care(self)
        return self._care

    def save(self, name, data):
        from provision import save  # seldom: the store's code comes for it and goes

        unload("provision", "l4mesh_io.store_nvs")
        return save(name, data)

    def improv(self, now, out=None):
        """An Improv packet begins on the serial line; or a window for it by Bluetooth (`out`)."""
        from improv_serial import Session

        return Session(self, now, out)

    # jobs of the runner: f(now) -> ms

    def poll_wifi(self, now):
        wait = self.wifi.poll(now)
        if self.wifi.trouble != self._told:
            self._told = self.wifi.trouble
            if self._told:
                console.say("WiFi " + self._told)
        if self.wifi.changed:
            ip, mask = self.address()
            if self.node:
                self.link.moved(ip, mask)
                self.node.moved(now)
            console.say("WiFi is up, address %s" % self.wifi.ip())
        if self.wifi.want_reset and not (self.node and self.node.nearby):  # nobody by Bluetooth
            console.say("WiFi did not come back in 10 rounds; restarting")
            recorder.flush()
            safe_mode.planned_reset()
            machine.reset()
        return wait

    def poll_mqtt(self, now):
        """A handshake may block when nobody asked anything since the last look."""
        n = self.runner.answered
        idle = n == self._answered
        self._answered = n
        return self.node.uplink.poll(now, idle)

    def from_mqtt(self, buf, n):
        self.node.receive(buf, n, bytes(6), clock.now())

    def poll_sensors(self, now):
        return self.sensors.poll(now, self.submit)

    def poll_app(self, now):
        try:
            ms = self.serial.call(self.app.loop, self.node, now)
            return 1000 if ms is None else min(max(int(ms), 0), 60000)
        except Exception as e:
            console.say("app.loop: %r; called again in a minute" % e)
            return 60000

    def poll_health(self, now):
        lived = ticks.diff(now, self._started)
        if not self._good and lived >= 1000 * self.cfg.good_s:
            if self.judge is None or self.judge.good(now, lived):
                self._good = True
                safe_mode.mark_good()
        return 60000 if self._good else 1000

    def poll_update(self, now):
        return 1000 if self.updater is None else self.updater.poll(now)

    def update(self, buf, addr, now):
        """A frame about an update: what takes it comes with an offer, or a question for ours."""
        if self.updater is None:
            ours = buf[1] == T_WANT and sys.path[0][:5] == "/ota/"
            if self.cfg.ota == "never" or not ours and buf[1] != T_OFFER:
                return
            gc.collect()
            try:
                from updating import Updater

                self.updater = Updater(self, now)
            except MemoryError:
                self.node.counters.inc(C_MEM_ERROR)
                return
        self.updater.frame(buf, addr, now)

    def cut_off(self):
        """Asked every 5 s: is the upstream away for the third time, and a neighbour reaches it?"""
        n = self.node
        p = n.peers
        self._cut += 1
        if n.reach.up or n.uplink is not None and n.uplink.up or not n.queue.pending:
            self._cut = 0
        return self._cut > 2 and any(p.get(i, O_SAID) & 2 for i in range(p.slots))

    def poll_custody(self, now):
        if self.custody is None and not self.cut_off():
            return 5000
        c = self.hands()
        return c.poll(now) if c else _COMPLAIN_MS

    def on_hand(self, slot, buf, addr, now):
        """A neighbour that is cut off wants to leave its readings here."""
        if self.custody is not None or self.node.hello.uplink:
            c = self.hands()
            if c:
                c.on_hand(slot, buf, addr, now)

    def hands(self):
        if self.custody is None:
            gc.collect()
            try:
                from custody import Custody

                self.custody = Custody(self)
            except MemoryError:
                self.node.counters.inc(C_MEM_ERROR)
        return self.custody

    def sample(self, now):
        gc.collect()
        self.node.sample(now, self.board.signals())
        return _SAMPLE_MS

    def submit(self, data, n):
        t, known, error = self.time.stamp()
        taken = self.node.submit(data, n, t, known, error)
        if not taken and ticks.diff(clock.now(), self._complained) >= 0:
            self._complained = ticks.add(clock.now(), _COMPLAIN_MS)
            console.say("a reading could not be stored: flash is full or failing; the rest runs")
        return taken

    def event(self, e):
        if e[0] == EV_CLOCK and self.time is not None:  # None in safe mode
            self.time.told(e[1], e[2])
        console.tell(e)
        if self.app is not None and hasattr(self.app, "event"):
            try:
                self.serial.call(self.app.event, self.node, e)
            except Exception as x:
                console.say("app.event: %r" % x)


def run():
    s = Supervisor()
    try:
        from start import begin

        ready = begin(s)
        begin = None
        if ready is True:
            # Another run() takes a soft reset (Ctrl-D). `l4app`: what an image calls two of these.
            unload("start", "start_app", "sensor_check", "l4app")
            made_once(s)
            gc.collect()
            if s.node.queue is not None:
                import timekeeper  # now that the start's code has gone

                timekeeper.begin(s)
            s.runner.run()
        else:
            recorder.add(recorder.E_PLANNED, "waits for its keys")
            from unkeyed import wait

            wait(s, ready)
    except KeyboardInterrupt:
        console.say("stopped; the REPL is yours")
        recorder.add(recorder.E_PLANNED, "stopped by Ctrl-C")
        recorder.flush()
        if s.dog is not None:
            s.dog.relax()
        if s.node is not None:
            s.node.stop(clock.now(), 1)
    except Exception as e:
        sys.print_exception(e)
        recorder.trace(e)
        if s.safe:  # a restart would come to the same: stay where it can be mended
            console.say("safe mode stopped by %r; the REPL is yours" % e)
            if s.dog is not None:
                s.dog.relax()
            return
        console.say("stopped by %r; restarting" % e)
        time.sleep(1)
        recorder.flush()
        machine.reset()
    finally:
        if s.serial is not None:
            s.serial.close()

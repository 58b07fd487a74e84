# floor 10: firmware
# Improv WiFi over the serial line: loaded when a packet begins to come. RAM: 12 KiB while in use.
"""Session(s, now): what serial.py hands bytes to once IMPROV has come, for the supervisor `s`
(its cfg, wifi, wlan and poll_wifi are used). A minute after the last packet it is over, and the
module is taken out of memory. What goes wrong is also said on the console, in words.
"""

import gc
import sys

import console
import network
from l4mesh import improv_codec as codec
from l4mesh import ticks
from l4mesh.compat import const
from l4mesh.improv import JOINING, Improv
from l4mesh_io.unload import unload

_QUIET_MS = const(60000)


class Out:
    """Packets to the console, each on a line of its own."""

    def __init__(self, write=None):
        self._write = write or sys.stdout.buffer.write

    def _send(self, kind, data):
        # In one piece: nothing else is printed within a packet.
        self._write(b"\n" + codec.packet(kind, data) + b"\n")

    def state(self, code):
        self._send(codec.T_STATE, bytes((code,)))

    def error(self, code):
        self._send(codec.T_ERROR, bytes((code,)))

    def result(self, command, strings):
        self._send(codec.T_RESULT, codec.result(command, strings))


class Host:
    """What Improv asks of a board (l4mesh/improv.py)."""

    def __init__(self, s):
        self._s = s
        self._before = None
        self._new = None

    def online(self):
        return self._s.wifi.up

    def connect(self, name, password, now):
        if not 0 < len(name.encode()) <= 32:
            return "a network's name has 1 to 32 bytes"
        if password and not 8 <= len(password.encode()) <= 63:
            return "a WiFi password has 8 to 63 bytes, or none"
        s = self._s
        self._new = (name, password)
        self._before = s.wifi.nets
        s.wlan.active(True)
        s.wifi.use([self._new], now)
        return ""

    def outcome(self, now):
        w = self._s.wifi
        self._s.poll_wifi(now)
        if w.up:
            return ""
        return w.trouble or None

    def keep(self):
        from reconfig import change, with_first

        nets = with_first(self._before, self._new[0], self._new[1])
        self._s.wifi.nets = nets
        trouble = self._change(change, wifi=nets)
        console.say(trouble or "WiFi %s is stored" % self._new[0])
        return not trouble

    def give_up(self, why, now):
        console.say("WiFi not changed: " + why)
        if self._before is not None:
            self._s.wifi.use(self._before, now)
        self._before = None

    def scan(self, now):
        s = self._s
        if not s.wifi.up and s.wifi.nets:
            s.wifi.use(s.wifi.nets, now)  # no scan while the driver connects; it starts anew
        try:
            s.wlan.active(True)
            return [(n[0], n[3], n[4]) for n in s.wlan.scan()]
        except OSError:
            return None

    def info(self):
        from l4mesh import __version__

        return [b"l4mesh", __version__.encode(), self._chip(), self.name()]

    def _chip(self):
        try:
            return sys.implementation._machine.encode()
        except AttributeError:
            return b"ESP32"

    def name(self):
        return (self._s.cfg.name or "l4node").encode()

    def hostname(self):
        return network.hostname().encode()

    def rename(self, name):
        from reconfig import change

        try:
            text = str(name, "utf-8")
        except UnicodeError:
            return False
        if self._change(change, name=text):
            return False
        self._s.cfg.name = text
        network.hostname(text[:32])
        return True

    def _change(self, change, **settings):
        trouble = change(**settings)
        unload("reconfig", "l4mesh.config_check", "l4config")
        return trouble

    def url(self):
        return b""

    def identify(self):
        console.say("identify: it is this board")
        if self._s.node is not None:
            self._s.care().do(1, 10, 0)  # the LED blinks


class Session:
    """`out`: what tells a client by Bluetooth (improv_ble.py), which uses the machine alone."""

    def __init__(self, s, now, out=None):
        self._packets = codec.Packets(6)
        self.machine = self._improv = Improv(Host(s), out or Out(), out is not None)
        self._last = now

    def push(self, b, now):
        r = self._packets.push(b, now)
        if r == codec.DONE:
            self._last = now
            self._improv.command(self._packets.command, self._packets.data, now)
        elif r == codec.BAD:
            self._improv.bad()
        return r != codec.NOT_OURS

    def mend(self, rest, now):
        """A packet that came while the application ran: without its bytes 3 (serial.py)."""
        found = codec.mend(rest)
        self._last = now
        if found:
            self._improv.command(found[0], found[1], now)
        else:
            self._improv.bad()

    def poll(self, now):
        ms = self._improv.poll(now)
        if self._improv.state != JOINING and ticks.diff(now, self._last) > _QUIET_MS:
            unload("improv_serial", "l4mesh.improv", "l4mesh.improv_codec")
            gc.collect()
            return -1
        return ms

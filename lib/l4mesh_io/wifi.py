# floor 8: effects
# WiFi that comes back by itself, without ever sleeping. RAM: about 300 B.
"""One station interface, several networks in turn, the reconnect pattern that works on ESP32.

A network gets 20 s. Then: disconnect(), active(False), 1 s, active(True), power save and host name
again, connect() to the next one. So connect() is never called while the driver is connecting
("Wifi Internal Error", micropython #17661). After 10 rounds through all networks `want_reset` asks
for a reset; it goes on trying meanwhile. The driver may try three times by itself before the first
connection: only when it has given up does it say what is wrong (`trouble`). After that, for ever.

    state       becomes     when
    off         connecting  active(True), settings and connect() were called
    connecting  up          the driver is connected and has an address
    connecting  resting     20 s are over
    up          connecting  the driver lost the network (it tries by itself; 20 s for that, too)
    resting     connecting  1 s is over, the next network

`changed` becomes True with each new connection or address: join multicast groups again, then clear
it. Driver exceptions are counted in `errors`, never raised. PM_NONE (fast answers) is refused once
Bluetooth was on in this boot: ESP-IDF aborts on the two together.
"""

from l4mesh import ticks
from l4mesh.compat import const

_OFF = const(0)
_CONNECTING = const(1)
_UP = const(2)
_REST = const(3)

_WAIT_MS = const(20000)
_LOOK_MS = const(250)
_SECOND_MS = const(1000)
_ROUNDS = const(10)
_TRIES = const(3)


def _reason(code):
    """What a status of the driver means; numbers of ESP-IDF's wifi_err_reason_t."""
    if code == 201:
        return "no such network"
    if code in (2, 15, 202, 204):
        return "wrong password"
    return "refused, code %d" % code


class Wifi:
    """`nets`: (ssid, password) pairs. `wlan`: network.WLAN(STA_IF). `name`: host name, cut to 32
    chars, for `hostname` (network.hostname). `fast`: no power save, 100 mA for answers in 2-5 ms.
    """

    def __init__(self, nets, wlan, name="", hostname=None, fast=True):
        self.nets = nets
        self._wlan = wlan
        self._name = name
        self._hostname = hostname
        self._fast = fast
        self._ble = False
        self._state = _OFF
        self._i = self._due = 0
        self._ip = self._said = ""
        self.trouble = ""  # why this try failed, "name: reason"; "" while that is not known
        self.up = self.changed = self.want_reset = False
        self.errors = 0
        self.tries = 0  # since the last connection

    def ip(self):
        """Own address as text, "" without one."""
        return self._ip

    def rssi(self):
        """Signal in dBm, None when unknown."""
        return self._try(self._wlan.status, "rssi") if self.up else None

    def why(self):
        """One sentence on what it does."""
        if not self.nets:
            return "No network is configured. Add one under wifi."
        if self.up:
            return "Connected as %s." % self._ip
        said = self._said or self.trouble
        return "Try %d, %s. %s" % (self.tries, self.nets[self._i][0], said)

    def use(self, nets, now):
        """Other networks from now on; the first of them is tried at once (in a second)."""
        self.nets = nets
        self._i = self.tries = 0
        self._ip = self.trouble = ""
        self.up = False
        self._try(self._wlan.disconnect)
        if nets:
            self._try(self._wlan.active, False)
            self._go(_REST, now, _SECOND_MS)
        else:
            self._state = _OFF

    def power(self, fast, ble=False):
        """Power save: `fast` = off, if allowed. Pass `ble` before Bluetooth is switched on."""
        self._fast = fast
        self._ble = self._ble or ble
        w = self._wlan
        none = getattr(w, "PM_NONE", 0)  # PM_PERFORMANCE is the next
        # Never PM_POWERSAVE: it may lose broadcasts.
        self._try(w.config, pm=none if fast and not self._ble else none + 1)

    def poll(self, now):
        """Do what is due; ms until it wants to be called again."""
        w = self._wlan
        ip = self._state != _REST and self._try(w.isconnected) and self._try(w.ifconfig)
        if ip and ip[0] != "0.0.0.0":
            return self._online(ip[0])
        self.up = False
        if not self.nets:
            return 60 * _SECOND_MS
        state = self._state
        if state == _UP:
            return self._go(_CONNECTING, now, _WAIT_MS)
        left = ticks.diff(self._due, now)
        if state == _OFF:
            # It may be on since before a soft reset, and connecting: then start clean.
            left = 0
            if self._try(w.active):
                state = _CONNECTING
        if left > 0:
            if state == _CONNECTING:
                self._ask()
            return min(left, _LOOK_MS)
        if state == _CONNECTING:
            if self.tries and not self.trouble:
                self._troubled("no connection in 20 s")
            self._ip = ""
            self.want_reset = self.tries >= _ROUNDS * len(self.nets)
            self._try(w.disconnect)
            self._try(w.active, False)
            return self._go(_REST, now, _SECOND_MS)
        if self._hostname and self._name:
            self._try(self._hostname, self._name[:32])
        self._try(w.active, True)
        self.power(self._fast)
        if self.tries:
            self._i = (self._i + 1) % len(self.nets)
        self.tries += 1
        self.trouble = ""
        self._try(w.config, reconnects=_TRIES)
        self._try(w.connect, *self.nets[self._i])
        return self._go(_CONNECTING, now, _WAIT_MS)

    def _online(self, ip):
        if self._state == _OFF:  # up since before a soft reset
            self.power(self._fast)
        if ip != self._ip or not self.up:
            self._ip = ip
            self.up = self.changed = True
            self._try(self._wlan.config, reconnects=0)
        self._state = _UP
        self.tries = 0
        self._said = self.trouble = ""
        self.want_reset = False
        return _SECOND_MS

    def _ask(self):
        """Has the driver given up? Then it says why."""
        code = self._try(self._wlan.status)
        if code and 0 < code < 1000:
            self._troubled(_reason(code))

    def _troubled(self, why):
        self._said = ""
        self.trouble = "%s: %s" % (self.nets[self._i][0], why)

    def _go(self, state, now, ms):
        self._state = state
        self._due = ticks.add(now, ms)
        return min(ms, _LOOK_MS)

    def _try(self, f, *args, **kw):
        """Ask the driver; None when it raised."""
        try:
            return f(*args, **kw)
        except Exception as e:
            self.errors += 1
            self._said = repr(e)

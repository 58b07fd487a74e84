# floor 5: machines
# Improv WiFi, the device's side, over a serial line or Bluetooth. RAM: 3 KiB, only while loaded.
"""The state machine of https://www.improv-wifi.com; the bytes are improv_codec.py's.

    state                    becomes     when
    1 authorization required 2           authorize(): somebody pressed the button   (Bluetooth)
    2 ready                  3           a client sent name and password of a network
    2 ready                  1           a minute without either                    (Bluetooth)
    3 provisioning           4           the network was joined and is stored
    3 provisioning           2           it was not, within 28 s; error 3 is told first
    4 provisioned            3           another network is sent

One attempt at a time: a network sent meanwhile is answered with error 255 and changes nothing.

    host                                                      out
    connect(name, password, now) -> "" or why not             state(code)
    outcome(now) -> None (under way), "" (joined), why not    error(code)
    keep() -> bool       store the network that was joined    result(command, [bytes])
    give_up(why, now)    back to what was before
    online() -> bool     scan(now) -> [(name, rssi, auth)] or None: the radio is busy
    info() -> [bytes]    firmware, version, chip, name
    hostname(), name() -> bytes; rename(name) -> bool         identify(); url() -> bytes
"""

from . import ticks
from .compat import const
from .improv_codec import W_HOSTNAME, W_INFO, W_NAME, W_SCAN, W_STATE, W_WIFI, credentials

WAITING = 1
READY = 2
JOINING = 3
JOINED = 4

E_NONE = 0
E_MALFORMED = 1
E_UNKNOWN = 2
E_NOT_JOINED = 3
E_NOT_ALLOWED = 4
E_BAD_NAME = 5
E_OTHER = 255

CAPABILITIES = 0x0F  # Bluetooth: identify, device info, scan, host name

_LIMIT_MS = const(28000)  # clients wait for 30 s and more
_ALLOWED_MS = const(60000)
_LOOK_MS = const(100)
_IDLE_MS = const(1000)
_ROOM = const(250)
_AUTH = b"NO WEP WPA WPA2 WPA/WPA2 WPA2-EAP WPA3 WPA2/WPA3 WAPI"  # by WLAN.scan()'s numbers


def good_hostname(name):
    """RFC 1123: letters, digits and hyphens, none of these at an end; 32 are what WiFi takes."""
    if not 0 < len(name) <= 32 or name[0] == 45 or name[-1] == 45:
        return False
    for c in name:
        if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 45):
            return False
    return True


class Improv:
    """`ble`: commands over Bluetooth; the button (authorize()) comes before the rest then."""

    def __init__(self, host, out, ble=False):
        self._host = host
        self._out = out
        self._ble = ble
        self._due = 0
        self.state = WAITING if ble else READY
        if host.online():
            self.state = JOINED

    def authorize(self, now):
        """Somebody pressed the button (Bluetooth); also where there is WiFi: for another one."""
        self._due = ticks.add(now, _ALLOWED_MS)
        if self.state != JOINING:
            self._become(READY)

    def bad(self):
        """A packet came that is none."""
        self._out.error(E_MALFORMED)

    def command(self, command, data, now):
        """Do what a client asks. Each is answered by a result, a state or an error."""
        out = self._out
        out.error(E_NONE)
        if command == W_WIFI:
            self._wifi(data, now)
        elif command == W_STATE:
            if self._ble:
                self._host.identify()
            else:
                self._tell_state()
        elif command == W_INFO:
            out.result(command, self._host.info())
        elif command == W_SCAN:
            self._scan(now)
        elif command == W_HOSTNAME or command == W_NAME:
            self._name(command, data, now)
        else:
            out.error(E_UNKNOWN)

    def poll(self, now):
        """Do what is due; ms until it wants to be called again."""
        if self.state == JOINING:
            why = self._host.outcome(now)
            if why is None and ticks.diff(now, self._due) >= 0:
                why = "no connection in %d s" % (_LIMIT_MS // 1000)
            if why is None:
                return _LOOK_MS
            self._ended(why, now)
        elif self._ble and self.state == READY and ticks.diff(now, self._due) >= 0:
            self._become(WAITING)
        return _IDLE_MS

    def _become(self, state):
        self.state = state
        self._out.state(state)

    def _allowed(self):
        if self.state == WAITING:
            self._out.error(E_NOT_ALLOWED)
        return self.state != WAITING

    def _tell_state(self):
        if self.state != JOINING:  # WiFi comes and goes without us
            self.state = JOINED if self._host.online() else READY
        self._out.state(self.state)
        if self.state == JOINED:
            self._out.result(W_STATE, [self._host.url()])

    def _wifi(self, data, now):
        if not self._allowed():
            return
        if self.state == JOINING:
            self._out.error(E_OTHER)
            return
        given = credentials(data)
        if given is None:
            self._out.error(E_MALFORMED)
            return
        self._due = ticks.add(now, _LIMIT_MS)
        self._become(JOINING)
        why = self._host.connect(given[0], given[1], now)
        if why:
            self._ended(why, now)

    def _ended(self, why, now):
        """The attempt is over; `why` it failed, or an empty string."""
        if why:
            self._host.give_up(why, now)
            self._out.error(E_NOT_JOINED)
        elif self._host.keep():
            self._become(JOINED)
            self._out.result(W_WIFI, [self._host.url()])
            return
        else:
            self._out.error(E_OTHER)
        self._due = ticks.add(now, _ALLOWED_MS)
        self._become(READY)

    def _scan(self, now):
        found = None if self.state == JOINING else self._host.scan(now)
        if found is None:
            self._out.error(E_OTHER)
            return
        best = {}
        for name, rssi, auth in found:  # an access point a network, the nearest
            if name and (name not in best or rssi > best[name][0]):
                best[name] = (rssi, auth)
        strings = []
        room = _ROOM
        for name in sorted(best, key=lambda n: -best[n][0]):
            rssi, auth = best[name]
            three = [name, b"%d" % rssi, b"YES" if auth else b"NO"]
            if not self._ble:
                self._out.result(W_SCAN, three)
                continue
            three[2] = (_AUTH.split() + [b"WPA3"] * 255)[auth].replace(b"-", b" ")
            room -= sum([len(s) + 1 for s in three])
            if room < 0:
                break
            strings += three
        self._out.result(W_SCAN, strings)

    def _name(self, command, data, now):
        host = self._host
        if (data or command == W_HOSTNAME) and not self._allowed():
            return
        if data:
            if data[0] == len(data) - 1 and data[0] < 32:
                data = data[1:]  # py-improv-ble-client sends a string with its length in front
            if command == W_HOSTNAME and not good_hostname(data):
                self._out.error(E_BAD_NAME)
                return
            if not host.rename(data):
                self._out.error(E_BAD_NAME if command == W_HOSTNAME else E_MALFORMED)
                return
            self._due = self._due if self.state == JOINING else ticks.add(now, _ALLOWED_MS)
        self._out.result(command, [host.hostname() if command == W_HOSTNAME else host.name()])

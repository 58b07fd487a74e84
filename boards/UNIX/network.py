# network.WLAN as on ESP32; the access point is on the bench desk. RAM: 3 KiB.
"""Station only. connect() while connecting raises "Wifi Internal Error"; WiFi stays up over a soft
reset; after a loss the driver tries again by itself.
"""

import _hw

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_BEACON_TIMEOUT = 200
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204

_name = "mpy-unix"


def hostname(name=None):
    global _name
    if name is None:
        return _name
    if len(name) > 32:
        raise ValueError
    _name = name


def country(code=None):
    return "XX"


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2
    _pm = 1

    def __init__(self, interface=STA_IF):
        self._sta = interface == STA_IF

    def active(self, on=None):
        if not self._sta:
            return False
        if on is not None:
            _hw.ask("radio %d" % bool(on))
            _hw.changed()
        return _hw.ask("radio") != b"0"

    def connect(self, ssid=None, key=None, *, bssid=None):
        try:
            _hw.ask("join", ("%s\n%s" % (ssid or "", key or "")).encode())
        except OSError:
            raise OSError("Wifi Internal Error")
        _hw.changed()

    def disconnect(self):
        _hw.ask("leave")
        _hw.changed()

    def isconnected(self):
        return self._sta and _hw.wifi()[0] == STAT_GOT_IP

    def status(self, what=None):
        if what == "rssi":
            return _hw.wifi()[1]
        if what is not None:
            raise ValueError("unknown status param")
        return _hw.wifi()[0]

    def ifconfig(self, *args):
        if not self.isconnected():
            return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        net = _hw.ip[: _hw.ip.rindex(".") + 1]
        return (_hw.ip, "255.255.255.0", net + "1", net + "1")

    def ipconfig(self, what=None, **kw):
        c = self.ifconfig()
        if what == "addr4":
            return c[:2]
        if what == "gw4":
            return c[2]
        if what == "has_dhcp4":
            return self.isconnected()

    def config(self, what=None, **kw):
        if "pm" in kw:
            WLAN._pm = kw["pm"]
        if "hostname" in kw:
            hostname(kw["hostname"])
        if what == "pm":
            return WLAN._pm
        if what == "mac":
            from machine import unique_id

            return unique_id()
        if what == "hostname":
            return _name
        if what == "channel":
            return 6

    def scan(self):
        if _hw.wifi()[0] == STAT_CONNECTING:
            raise OSError("Wifi Internal Error")
        out = []
        for line in _hw.ask("scan", size=1024).split(b"\n"):
            if line:
                out.append((line, b"\x02\0\0\0\0\x01", 6, -50, 3, False))
        return out

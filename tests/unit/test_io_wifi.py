"""WiFi: the reconnect pattern, walked through on a driver that behaves like the ESP32's."""

from l4mesh import ticks
from l4mesh_io.wifi import Wifi

HOME = ("home", "secret")
BARN = ("barn", "word")
START = ticks.MASK - 1000  # the clock wraps during each test


class Wlan:
    """A driver that raises where the real one does, and writes down what it was told."""

    PM_NONE = 0
    PM_PERFORMANCE = 1

    def __init__(self, here=()):
        self.here = here  # networks in the air
        self.on = False
        self.trying = None
        self.linked = False
        self.wanted = True
        self.address = "10.0.0.5"
        self.log = []
        self.broken = False
        self.reconnects = 0
        self.reason = 1001

    def _check(self):
        if self.broken:
            raise OSError("Wifi Unknown Error 0x0102")

    def active(self, on=None):
        self._check()
        if on is None:
            return self.on
        self.log.append("on" if on else "off")
        self.on = on
        if not on:
            self.trying = None
            self.linked = False

    def config(self, pm=None, reconnects=None):
        self._check()
        if pm is not None:
            self.log.append("pm%d" % pm)
        if reconnects is not None:
            self.reconnects = reconnects

    def connect(self, ssid, password):
        self._check()
        if self.trying or not self.on:
            raise OSError("Wifi Internal Error")
        self.log.append(ssid)
        self.trying = (ssid, password)
        self.wanted = True

    def disconnect(self):
        self._check()
        self.log.append("disconnect")
        self.linked = self.wanted = False

    def settle(self):
        """Time passes in the driver, which tries for ever."""
        if self.trying and self.wanted:
            self.linked = self.trying in self.here

    def isconnected(self):
        self._check()
        return self.linked

    def ifconfig(self):
        return (self.address if self.linked else "0.0.0.0", "255.255.255.0", "", "")

    def status(self, what=None):
        self._check()
        if what == "rssi":
            return -61
        # As in the driver: the reason only when it tries no more.
        return self.reason if self.trying and self.reconnects else 1001


class Desk:
    """Polls as the runner does, on a virtual clock."""

    def __init__(self, wifi, wlan):
        self.wifi = wifi
        self.wlan = wlan
        self.now = START

    def run(self, ms):
        while ms > 0:
            wait = self.wifi.poll(self.now)
            assert wait > 0
            wait = min(wait, ms)
            self.now = ticks.add(self.now, wait)
            ms -= wait
            self.wlan.settle()
        self.wifi.poll(self.now)


def make(nets, here, **kw):
    wlan = Wlan(here)
    wifi = Wifi(nets, wlan, **kw)
    return wifi, wlan, Desk(wifi, wlan)


def test_first_connection():
    names = []
    wifi, wlan, desk = make([HOME], [HOME], name="n" * 40, hostname=names.append)
    assert not wifi.up and wifi.ip() == "" and wifi.rssi() is None
    desk.run(600)
    assert wifi.up and wifi.changed and wifi.ip() == "10.0.0.5" and wifi.rssi() == -61
    assert wlan.log == ["on", "pm0", "home"]
    assert names == ["n" * 32]
    assert wifi.why() == "Connected as 10.0.0.5."
    assert wifi.errors == 0


def test_no_network_configured():
    wifi, wlan, desk = make([], [])
    desk.run(120000)
    assert not wifi.up and not wifi.want_reset and wlan.log == []
    assert "Add one" in wifi.why()


def test_the_pattern_between_networks():
    wifi, wlan, desk = make([HOME, BARN], [BARN])
    desk.run(19900)
    assert wlan.log == ["on", "pm0", "home"]
    assert "home" in wifi.why()
    desk.run(200)
    assert wlan.log[3:] == ["disconnect", "off"]
    desk.run(700)
    assert wlan.log[5:] == []  # a whole second of rest
    desk.run(700)
    assert wlan.log[5:] == ["on", "pm0", "barn"]
    assert wifi.up and wifi.errors == 0


def test_never_connects_while_connecting():
    wifi, wlan, desk = make([HOME], [])
    desk.run(300000)
    assert wifi.errors == 0  # the driver would have raised
    assert wlan.log.count("home") > 10


def test_ten_rounds_ask_for_a_reset_and_success_withdraws_it():
    wifi, wlan, desk = make([HOME, BARN], [])
    desk.run(19 * 21000)
    assert not wifi.want_reset
    desk.run(2 * 21000)
    assert wifi.want_reset
    tries = wifi.tries
    desk.run(2 * 21000)
    assert wifi.tries > tries
    wlan.here = [HOME]
    desk.run(3 * 21000)
    assert wifi.up and not wifi.want_reset and wifi.tries == 0


def test_up_since_before_a_soft_reset():
    wifi, wlan, desk = make([HOME], [HOME])
    wlan.on = True
    wlan.trying = HOME
    wlan.linked = True
    desk.run(10)
    assert wifi.up and wifi.changed
    assert wlan.log == ["pm0"]  # no connect(), but our settings


def test_connecting_since_before_a_soft_reset_starts_clean():
    wifi, wlan, desk = make([HOME], [])
    wlan.on = True
    wlan.trying = BARN
    desk.run(10)
    assert wlan.log == ["disconnect", "off"]
    desk.run(1200)
    assert wlan.log[2:] == ["on", "pm0", "home"] and wifi.errors == 0


def test_a_short_loss_is_left_to_the_driver():
    wifi, wlan, desk = make([HOME], [HOME])
    desk.run(600)
    wifi.changed = False
    told = len(wlan.log)
    wlan.here = []
    desk.run(5000)
    assert not wifi.up
    wlan.here = [HOME]
    desk.run(5000)
    assert wifi.up and wifi.changed  # join the groups again
    assert len(wlan.log) == told


def test_a_long_loss_runs_the_pattern():
    wifi, wlan, desk = make([HOME], [HOME])
    desk.run(600)
    wlan.here = []
    desk.run(25000)
    assert not wifi.up and wifi.ip() == ""
    assert wlan.log[3:] == ["disconnect", "off", "on", "pm0", "home"]
    wlan.here = [HOME]
    desk.run(5000)
    assert wifi.up


def test_a_new_address_is_a_change():
    wifi, wlan, desk = make([HOME], [HOME])
    desk.run(600)
    wifi.changed = False
    desk.run(5000)
    assert not wifi.changed
    wlan.address = "10.0.9.9"
    desk.run(2000)
    assert wifi.changed and wifi.ip() == "10.0.9.9"


def test_no_address_yet_is_not_up():
    wifi, wlan, desk = make([HOME], [HOME])
    wlan.address = "0.0.0.0"
    desk.run(3000)
    assert not wifi.up
    wlan.address = "10.0.0.5"
    desk.run(1000)
    assert wifi.up


def test_a_raising_driver_is_counted_and_outlived():
    wifi, wlan, desk = make([HOME], [HOME])
    wlan.broken = True
    desk.run(60000)
    assert not wifi.up and wifi.errors > 5
    assert "0x0102" in wifi.why()
    wlan.broken = False
    desk.run(45000)
    assert wifi.up
    wlan.broken = True
    assert wifi.rssi() is None


def test_power_save():
    wifi, wlan, desk = make([HOME], [HOME], fast=False)
    desk.run(600)
    assert wlan.log == ["on", "pm1", "home"]
    wifi.power(True)
    assert wlan.log[-1] == "pm0"
    wifi.power(True, ble=True)  # Bluetooth is about to start
    assert wlan.log[-1] == "pm1"
    wifi.power(True)
    assert wlan.log[-1] == "pm1"  # for the rest of this boot
    wlan.here = []
    desk.run(25000)
    assert "pm0" not in wlan.log[6:]


def test_the_reason_is_told_once_the_driver_has_given_up():
    wifi, wlan, desk = make([HOME, BARN], [])
    desk.run(1000)
    assert wifi.trouble == "" and wlan.reconnects == 3
    for code, text in ((201, "no such network"), (202, "wrong password"), (15, "wrong password")):
        wlan.reason = code
        desk.run(500)
        assert wifi.trouble == "home: " + text
        assert text in wifi.why()
    wlan.reason = 210
    desk.run(21000)
    assert wifi.trouble == "barn: refused, code 210"
    wlan.here = [BARN]
    desk.run(1000)
    assert wifi.up and wifi.trouble == "" and wlan.reconnects == 0  # it tries for ever now


def test_no_reason_is_told_as_such():
    wifi, wlan, desk = make([HOME], [])
    desk.run(20500)
    assert wifi.trouble == "home: no connection in 20 s"


def test_other_networks_from_now_on():
    wifi, wlan, desk = make([HOME], [HOME, BARN])
    desk.run(600)
    assert wifi.up
    wlan.log.clear()
    wifi.changed = False
    wifi.use([BARN], desk.now)
    assert not wifi.up and wifi.poll(desk.now) > 0 and wlan.log == ["disconnect", "off"]
    desk.run(900)
    assert len(wlan.log) == 2  # a whole second of rest
    desk.run(700)
    assert wlan.log[2:] == ["on", "pm0", "barn"]
    assert wifi.up and wifi.changed and wifi.errors == 0
    wifi.use([], desk.now)
    desk.run(2000)
    assert not wifi.up and wlan.on and wlan.log[-1] == "disconnect"
    wifi.use([HOME], desk.now)
    desk.run(2000)
    assert wifi.up

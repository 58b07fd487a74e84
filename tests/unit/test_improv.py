"""Improv's state machine: what a client sees, whatever it sends."""

from l4mesh import ticks
from l4mesh.improv import (
    E_BAD_NAME,
    E_MALFORMED,
    E_NONE,
    E_NOT_ALLOWED,
    E_NOT_JOINED,
    E_OTHER,
    E_UNKNOWN,
    JOINED,
    JOINING,
    READY,
    WAITING,
    Improv,
    good_hostname,
)
from l4mesh.improv_codec import W_HOSTNAME, W_INFO, W_NAME, W_SCAN, W_STATE, W_WIFI
from l4mesh.prng import XorShift

START = ticks.MASK - 1000
HOME = b"\x04home\x08password"
AIR = [(b"far", -80, 3), (b"home", -70, 3), (b"home", -50, 3), (b"", -20, 0), (b"open", -60, 0)]


class Host:
    """A board in an air with a few networks."""

    def __init__(self):
        self.up = False
        self.answer = None
        self.refuse = ""
        self.room = True
        self.log = []
        self.air = []
        self.called = b"porch"

    def connect(self, name, password, now):
        self.log.append("connect %s %s" % (name, password))
        return self.refuse

    def outcome(self, now):
        return self.answer

    def keep(self):
        self.log.append("keep")
        return self.room

    def give_up(self, why, now):
        self.log.append("give up: " + why)

    def online(self):
        return self.up

    def scan(self, now):
        return self.air

    def info(self):
        return [b"l4mesh", b"1.0", b"ESP32", self.called]

    def hostname(self):
        return self.called

    name = hostname

    def rename(self, name):
        if b"!" in name:
            return False
        self.called = name
        return True

    def identify(self):
        self.log.append("blink")

    def url(self):
        return b""


class Out:
    def __init__(self):
        self.log = []

    def state(self, code):
        self.log.append(("state", code))

    def error(self, code):
        self.log.append(("error", code))

    def result(self, command, strings):
        self.log.append((command, strings))

    def take(self):
        log = self.log
        self.log = []
        return log


def make(ble=False, up=False):
    host = Host()
    host.up = up
    out = Out()
    return Improv(host, out, ble), host, out


def ask(improv, out, command, data=b"", now=START):
    improv.command(command, data, now)
    log = out.take()
    assert log[0] == ("error", E_NONE)  # the standard: before anything else
    return log[1:]


def test_a_network_is_joined_and_stored():
    improv, host, out = make()
    assert ask(improv, out, W_STATE) == [("state", READY)]
    assert ask(improv, out, W_WIFI, HOME) == [("state", JOINING)]
    assert host.log == ["connect home password"]
    assert improv.poll(START) <= 100 and out.take() == []
    host.answer = ""
    improv.poll(ticks.add(START, 3000))
    assert out.take() == [("state", JOINED), (W_WIFI, [b""])]
    assert host.log[1:] == ["keep"]
    host.up = True
    assert ask(improv, out, W_STATE) == [("state", JOINED), (W_STATE, [b""])]


def test_a_wrong_password_then_the_right_one():
    improv, host, out = make()
    ask(improv, out, W_WIFI, HOME)
    host.answer = "home: wrong password"
    improv.poll(ticks.add(START, 2000))
    assert out.take() == [("error", E_NOT_JOINED), ("state", READY)]
    assert host.log[-1] == "give up: home: wrong password"
    host.answer = None
    assert ask(improv, out, W_WIFI, HOME) == [("state", JOINING)]
    host.answer = ""
    improv.poll(START)
    assert out.take()[0] == ("state", JOINED)


def test_an_attempt_ends_in_time():
    improv, host, out = make()
    ask(improv, out, W_WIFI, HOME)
    improv.poll(ticks.add(START, 27900))
    assert out.take() == [] and improv.state == JOINING
    improv.poll(ticks.add(START, 28000))
    assert out.take() == [("error", E_NOT_JOINED), ("state", READY)]
    assert "28 s" in host.log[-1]


def test_one_attempt_at_a_time():
    improv, host, out = make()
    ask(improv, out, W_WIFI, HOME)
    assert ask(improv, out, W_WIFI, b"\x04barn\x00") == [("error", E_OTHER)]
    assert ask(improv, out, W_SCAN) == [("error", E_OTHER)]
    assert ask(improv, out, W_STATE) == [("state", JOINING)]
    assert ask(improv, out, W_INFO)[0][0] == W_INFO
    assert len(host.log) == 1
    host.answer = ""
    improv.poll(START)
    assert out.take() == [("state", JOINED), (W_WIFI, [b""])]


def test_what_cannot_be_tried_or_stored():
    improv, host, out = make()
    host.refuse = "a WiFi password has 8 to 63 bytes"
    want = [("state", JOINING), ("error", E_NOT_JOINED), ("state", READY)]
    assert ask(improv, out, W_WIFI, b"\x04home\x03abc") == want
    host.refuse = ""
    host.room = False
    ask(improv, out, W_WIFI, HOME)
    host.answer = ""
    improv.poll(START)
    assert out.take() == [("error", E_OTHER), ("state", READY)]


def test_malformed_and_unknown():
    improv, host, out = make()
    for bad in (b"", b"\x20home", HOME + b"x", b"\x02\xff\xff\x00"):
        assert ask(improv, out, W_WIFI, bad) == [("error", E_MALFORMED)]
    for command in (0, 7, 99, 255):
        assert ask(improv, out, command) == [("error", E_UNKNOWN)]
    improv.bad()
    assert out.take() == [("error", E_MALFORMED)]
    assert improv.state == READY and host.log == []


def test_scan_over_serial():
    improv, host, out = make()
    assert ask(improv, out, W_SCAN) == [(W_SCAN, [])]
    host.air = AIR
    assert ask(improv, out, W_SCAN) == [
        (W_SCAN, [b"home", b"-50", b"YES"]), (W_SCAN, [b"open", b"-60", b"NO"]),
        (W_SCAN, [b"far", b"-80", b"YES"]), (W_SCAN, []),
    ]  # fmt: skip
    host.air = None
    assert ask(improv, out, W_SCAN) == [("error", E_OTHER)]


def test_scan_over_bluetooth_is_one_result_that_fits():
    improv, host, out = make(ble=True)
    host.air = [(b"home", -50, 3), (b"open", -60, 0), (b"new", -70, 7), (b"odd", -75, 99)]
    assert ask(improv, out, W_SCAN) == [
        (W_SCAN, [b"home", b"-50", b"WPA2", b"open", b"-60", b"NO", b"new", b"-70", b"WPA2/WPA3",
                  b"odd", b"-75", b"WPA3"])
    ]  # fmt: skip
    host.air = [(b"n%030d" % k, -40 - k, 5) for k in range(30)]
    strings = ask(improv, out, W_SCAN)[0][1]
    assert len(strings) % 3 == 0 and 12 < len(strings) < 30
    assert sum([len(s) + 1 for s in strings]) <= 253 and strings[2] == b"WPA2 EAP"


def test_names():
    improv, host, out = make()
    assert ask(improv, out, W_NAME) == [(W_NAME, [b"porch"])]
    assert ask(improv, out, W_NAME, b"my porch") == [(W_NAME, [b"my porch"])]
    assert ask(improv, out, W_INFO)[0][1][3] == b"my porch"
    assert ask(improv, out, W_NAME, b"no!") == [("error", E_MALFORMED)]
    assert ask(improv, out, W_HOSTNAME, b"my porch") == [("error", E_BAD_NAME)]
    assert ask(improv, out, W_HOSTNAME, b"porch-2") == [(W_HOSTNAME, [b"porch-2"])]
    assert ask(improv, out, W_HOSTNAME) == [(W_HOSTNAME, [b"porch-2"])]
    # as py-improv-ble-client 2.0.1 sends it
    assert ask(improv, out, W_HOSTNAME, b"\x05porch") == [(W_HOSTNAME, [b"porch"])]
    for bad in (b"", b"-a", b"a-", b"a_b", b"a" * 33, b"\xc3\xa4"):
        assert not good_hostname(bad)


def test_bluetooth_asks_for_the_button():
    improv, host, out = make(ble=True)
    assert improv.state == WAITING
    for command, data in ((W_WIFI, HOME), (W_HOSTNAME, b""), (W_NAME, b"x")):
        assert ask(improv, out, command, data) == [("error", E_NOT_ALLOWED)]
    assert ask(improv, out, W_STATE) == [] and host.log == ["blink"]  # identify; no result
    assert ask(improv, out, W_INFO)[0][0] == W_INFO
    improv.authorize(START)
    assert out.take() == [("state", READY)]
    improv.poll(ticks.add(START, 59000))
    assert improv.state == READY
    ask(improv, out, W_NAME, b"x", ticks.add(START, 59000))  # the minute starts anew
    improv.poll(ticks.add(START, 118000))
    assert improv.state == READY
    improv.poll(ticks.add(START, 119000))
    assert out.take() == [("state", WAITING)]
    improv.authorize(START)
    out.take()
    ask(improv, out, W_WIFI, HOME)
    host.answer = "no"
    improv.poll(START)
    assert improv.state == READY


def test_a_node_that_is_online_says_so_and_can_be_moved():
    improv, host, out = make(up=True)
    assert improv.state == JOINED
    assert ask(improv, out, W_STATE) == [("state", JOINED), (W_STATE, [b""])]
    assert ask(improv, out, W_WIFI, HOME) == [("state", JOINING)]
    host.answer = "no such network"
    improv.poll(START)
    assert out.take() == [
        ("error", E_NOT_JOINED),
        ("state", READY),
    ]
    assert ask(improv, out, W_STATE)[0] == ("state", JOINED)
    host.up = False
    assert ask(improv, out, W_STATE) == [("state", READY)]


def test_anything_at_all_is_answered():
    rng = XorShift(3)
    for ble in (False, True):
        improv, host, out = make(ble)
        now = START
        for _ in range(3000):
            n = rng.getrandbits(5)
            data = bytes([rng.getrandbits(8) for _ in range(n)])
            if rng.getrandbits(2) == 0:
                data = HOME
            host.answer = (None, "", "no")[rng.getrandbits(8) % 3]
            improv.command(rng.getrandbits(3), data, now)
            improv.poll(now)
            assert out.take()[0] == ("error", E_NONE)
            assert improv.state in (WAITING, READY, JOINING, JOINED)
            now = ticks.add(now, rng.getrandbits(12))


def test_the_button_opens_a_board_that_has_wifi():
    improv, host, out = make(ble=True, up=True)
    assert improv.state == JOINED
    improv.authorize(START)
    assert improv.state == READY and out.take() == [("state", READY)]
    ask(improv, out, W_WIFI, HOME)
    assert improv.state == JOINING
    improv.authorize(START)
    assert improv.state == JOINING  # one attempt at a time

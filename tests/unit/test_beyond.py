"""What a board waits for before it loads what NATs need, and what settings load at once."""

import sys

import ondemand
from kit import bare_node

SEEN = b"\xcb\x00\x71\x07\x9c\x40"
UP = [[3, "10.77.0.13:4113"]]


class Runner:
    def __init__(self):
        self.jobs = []

    def add(self, f):
        self.jobs.append(f)


class Start:
    """In place of beyond_start."""

    def __init__(self, s):
        self.s = s
        self.firsts = 0
        self.stood = []

    def first(self, s):
        self.firsts += 1

    def stand(self, s, now):
        assert s is self.s
        self.stood.append(now)
        s.node.nat = self


class S:
    safe = False

    def __init__(self, **config):
        self.runner = Runner()
        self.node = bare_node(1, linked=True, **config)
        self.start = Start(self)
        self.do(lambda: ondemand.begin(self))

    def do(self, f):
        had = sys.modules.get("beyond_start")
        sys.modules["beyond_start"] = self.start
        try:
            return f()
        finally:
            del sys.modules["beyond_start"]
            if had is not None:
                sys.modules["beyond_start"] = had

    def look(self, now):
        return self.do(lambda: [f(now) for f in self.runner.jobs])


def test_nothing_is_loaded_before_a_nat_is_seen():
    s = S(upstream=UP)
    assert s.look(1000) == [5000] and not s.start.stood and not s.start.firsts
    s.node.own.set_endpoints(s.node.own.lan, s.node.own.lan[:4] + b"\x20\x00")
    s.look(6000)
    assert not s.start.stood
    s.node.own.set_endpoints(s.node.own.lan, SEEN)
    s.look(11000)
    s.look(16000)
    assert s.start.stood == [11000]


def test_no_room_is_not_tried_again():
    s = S(upstream=UP)
    s.node.own.set_endpoints(s.node.own.lan, SEEN)
    s.node.cfg.nat = "never"  # what stand() leaves behind then
    s.look(1000)
    assert not s.start.stood


def test_where_there_is_nothing_to_watch_for():
    for s in (S(), S(nat="never", upstream=UP)):
        assert not s.runner.jobs and not s.start.firsts


def test_settings_that_load_it_at_once():
    for more in ({"udp_relay": True}, {"tcp": [[3, "10.77.0.13:443"]]}, {"nat": "always"}):
        s = S(upstream=UP, **more)
        assert s.start.firsts == 1 and not s.runner.jobs

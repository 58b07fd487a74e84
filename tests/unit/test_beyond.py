"""What a board waits for before it loads what NATs need."""

import sys

import beyond_watch
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

    def __init__(self):
        self.first_of = []
        self.stood = []
        self.detour = None

    def first(self, s):
        self.first_of.append(s)
        return self.detour

    def stand(self, s, detour, now):
        self.stood.append((detour, now))


class S:
    safe = False

    def __init__(self, linked=True, detour=None, **config):
        self.runner = Runner()
        self.node = bare_node(1, linked=linked, **config)
        self.start = Start()
        self.start.detour = detour
        had = sys.modules.get("beyond_start")
        sys.modules["beyond_start"] = self.start
        try:
            beyond_watch.watch(self)
        finally:
            del sys.modules["beyond_start"]
            if had is not None:
                sys.modules["beyond_start"] = had

    def look(self, now):
        sys.modules["beyond_start"] = self.start
        try:
            return [f(now) for f in self.runner.jobs]
        finally:
            del sys.modules["beyond_start"]


def test_nothing_is_loaded_before_a_nat_is_seen():
    s = S(upstream=UP)
    assert s.look(1000) == [5000] and not s.start.stood and not s.start.first_of
    s.node.own.set_endpoints(s.node.own.lan, s.node.own.lan[:4] + b"\x20\x00")
    s.look(6000)
    assert not s.start.stood
    s.node.own.set_endpoints(s.node.own.lan, SEEN)
    s.look(11000)
    s.look(16000)
    assert s.start.stood == [(None, 11000)]


def test_where_there_is_nothing_to_watch_for():
    for s in (S(), S(False, upstream=UP), S(nat="never", upstream=UP)):
        assert not s.runner.jobs and not s.start.first_of


def test_always():
    s = S(nat="always", upstream=UP)
    s.look(1000)
    assert not s.start.stood
    s.node.member.joined = True
    s.look(6000)
    assert s.start.stood == [(None, 6000)]


def test_settings_that_load_it_at_once():
    assert len(S(udp_relay=True).start.first_of) == 1
    s = S(nat="never", upstream=UP, tcp=[[3, "10.77.0.13:443"]])
    assert len(s.start.first_of) == 1 and not s.runner.jobs


def test_udp_that_is_blocked():
    class Detour:
        blocked = False

    d = Detour()
    s = S(detour=d, upstream=UP, tcp=[[3, "10.77.0.13:443"]])
    s.look(1000)
    assert not s.start.stood
    d.blocked = True
    s.look(6000)
    assert s.start.stood == [(d, 6000)]

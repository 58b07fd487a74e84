"""Commands by MQTT: answers, refusals, the limit; whatever comes, nothing raises."""

import json

from l4mesh import ticks
from l4mesh.commands import Commands
from l4mesh.prng import XorShift


class Up:
    base = b"l4/x"

    def __init__(self):
        self.up = True
        self.full = False
        self.said = []

    def say(self, topic, data, retain=False):
        if not self.up or self.full:
            return False
        assert topic == b"l4/x/cmd/ack" and not retain
        self.said.append(json.loads(data.decode()))
        return True


class Bench:
    def __init__(self):
        self.now = ticks.MASK - 100
        self.calls = []
        self.up = Up()
        self.commands = Commands(self.up, {"good": self.good, "bad": self.bad, "late": self.late})

    def good(self, given):
        self.calls.append(given)
        return ""

    def bad(self, given):
        raise ValueError("no")

    def late(self, given):
        raise OSError(5)

    def send(self, data, retained=0):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        self.commands.come(data, retained)

    def run(self, ms=500):
        while ms > 0:
            wait = self.commands.poll(self.now)
            assert 0 < wait <= 200
            self.now = ticks.add(self.now, wait)
            ms -= wait

    def ask(self, data):
        self.send(data)
        self.run()
        return self.up.said.pop()


def test_done_and_refused():
    b = Bench()
    for oid in (7, "a", None, [1], {"k": 1.5}):
        assert b.ask({"do": "good", "id": oid, "s": 3}) == {"id": oid, "ok": True, "why": ""}
    assert b.calls[0] == {"do": "good", "id": 7, "s": 3}
    b.run(6000)
    assert b.ask({"do": "bad", "id": 1}) == {"id": 1, "ok": False, "why": "no"}
    assert "OSError" in b.ask({"do": "late"})["why"]
    assert b.commands.done == 5


def test_what_is_no_command():
    b = Bench()
    for data in (
        b"",
        b"{",
        b"7",
        b"[]",
        b"\xff\xfe",
        b'"do"',
        b"{}",
        b'{"do": 5}',
        b'{"do": ["good"]}',
    ):
        a = b.ask(data)
        assert not a["ok"] and a["id"] is None and a["why"]
    assert "bad, good, late" in b.ask({"do": "format", "id": 2})["why"]
    assert not b.ask({"do": "good", "id": "x" * 250})["ok"]  # too long
    assert b.calls == []


def test_what_the_broker_kept_is_none():
    b = Bench()
    b.send({"do": "good"}, retained=1)
    b.run()
    assert b.calls == [] and b.up.said == [] and b.commands.dropped == 1


def test_too_many_are_refused_then_dropped():
    b = Bench()
    for i in range(6):
        b.send({"do": "good", "id": i})
        b.commands.poll(b.now)
        b.commands.poll(b.now)
    assert [a["ok"] for a in b.up.said] == [True] * 5 + [False]
    assert "too many" in b.up.said[5]["why"]
    b.run(1000)
    assert b.ask({"do": "good"})["ok"]
    assert not b.ask({"do": "good"})["ok"]
    b.run(60000)
    for i in range(10):
        b.send({"do": "good", "id": i})
    assert b.commands.dropped == 6
    b.run()
    assert [a["id"] for a in b.up.said[-4:]] == [0, 1, 2, 3]


def test_an_answer_waits_for_room_but_not_for_a_new_connection():
    b = Bench()
    b.up.full = True
    b.send({"do": "good", "id": 1})
    b.run()
    assert len(b.calls) == 1
    b.up.full = False
    b.run()
    assert b.up.said == [{"id": 1, "ok": True, "why": ""}]
    b.send({"do": "good", "id": 2})
    b.commands.poll(b.now)
    b.up.up = False
    b.run()
    b.up.up = True
    b.run()
    assert len(b.calls) == 2 and len(b.up.said) == 1


def test_random_bytes():
    rng = XorShift(3)
    b = Bench()
    for _ in range(300):
        b.send(bytes([rng.getrandbits(8) for _ in range(rng.getrandbits(5))]))
        b.run(200)
    assert b.calls == [] and b.up.said
    assert not [a for a in b.up.said if a["ok"]]

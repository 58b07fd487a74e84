"""When an update stays and when it goes back, with stand-ins for the board around the judge."""

import sys

import ota_boot
from otakit import ACTIVE, FLAGS, PENDING, WHY


class Machine:
    resets = 0

    def reset(self):
        Machine.resets += 1

    def reset_cause(self):
        return 1


before = sys.modules.get("machine")
sys.modules["machine"] = Machine()
try:
    import ota_judge
finally:
    del sys.modules["machine"]
    if before is not None:
        sys.modules["machine"] = before
ota_judge.machine = Machine()


class Peers:
    slots = 3

    def __init__(self, *flags):
        self.all = flags

    def flags(self, i):
        return self.all[i] if i < len(self.all) else 0


class Thing:
    """A supervisor, its node and settings, as far as the judge looks at them."""

    def __init__(self, joined=False, flags=(), app="an app", safe=False):
        self.node = self.member = self.cfg = self
        self.joined = joined
        self.peers = Peers(*flags)
        self.app = app
        self.safe = safe
        self.good_s = 60
        self.notes = {}
        self.judge = None
        self.stopped = None

    def stop(self, now, why):
        self.stopped = why


class Bench:
    def __init__(self, was, **more):
        self.saved = []
        self.fails = 0
        self.thing = Thing(**more)
        self.state = ota_boot.fresh()
        self.state[ACTIVE] = 2
        self.state[PENDING] = 1
        self.state[FLAGS] = was
        self.info = {"counter": 7}
        self.judge = self.thing.judge = ota_judge.Judge(self.thing, self.state, self.info)

    def good(self, lived):
        """What it says, with the state file replaced by a list."""

        def save(s, root="/ota"):
            self.saved.append(bytes(s))
            return not self.fails

        kept, forget = ota_boot.save, ota_judge.forget
        ota_boot.save = save
        ota_judge.forget = lambda: None
        Machine.resets = 0
        try:
            return self.judge.good(100, lived)
        finally:
            ota_boot.save, ota_judge.forget = kept, forget

    def slots(self):
        return (
            self.state[ACTIVE],
            self.state[PENDING],
            self.state[WHY],
        )


LAN, SIGNED = 2, 8


def test_it_stays():
    for was, more in (
        (0, {}),
        (1, {"joined": True}),
        (1, {"flags": (0, LAN | SIGNED)}),
        (3, {"joined": True}),
        (0, {"app": None}),
        (2, {"app": None, "safe": True}),
    ):
        b = Bench(was, **more)
        assert b.good(60000) and b.slots() == (1, 0, 0)
        assert b.thing.judge is None and b.info["state"] == "good" and b.thing.stopped is None


def test_it_has_to_be_heard_if_the_one_before_was():
    for flags in ((), (LAN,), (SIGNED,), (LAN, SIGNED)):
        b = Bench(1, flags=flags)
        assert b.good(60000) is False and b.good(179999) is False
        assert b.slots() == (2, 1, 0) and b.saved == []
        b.thing.joined = True
        assert b.good(179999) is True and b.slots() == (1, 0, 0)


def test_unheard_it_goes_back():
    b = Bench(1)
    assert b.good(180000) is False
    assert b.slots() == (2, 0, 2) and b.thing.stopped == 1 and len(b.saved) == 1
    assert Machine.resets == 1


def test_a_broken_app_goes_back_if_the_one_before_worked():
    b = Bench(3, app=None, joined=True)
    assert b.good(60000) is False
    assert b.slots() == (2, 0, 3)


def test_a_state_that_can_not_be_written_is_tried_again():
    b = Bench(0)
    b.fails = 1
    assert b.good(60000) is False and b.slots() == (2, 1, 0)
    b.fails = 0
    assert b.good(61000) is True and b.slots() == (1, 0, 0)


def test_flags():
    assert ota_judge.flags(Thing(app=None)) == 0
    assert ota_judge.flags(Thing(joined=True)) == 3
    assert ota_judge.flags(Thing(flags=(LAN | SIGNED,), app=None)) == 1

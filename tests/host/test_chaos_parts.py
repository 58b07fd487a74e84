"""The judge of a chaos run finds what was lost, doubled or made up; the plan follows its seed."""

from collections import Counter

import pytest
from l4tools.chaos.ledger import PER_BOARD, PIN, QUIET, Ledger
from l4tools.chaos.plan import KINDS, Plan
from l4tools.chaos.stream import value_of
from l4tools.errors import ToolError
from l4tools.vboard.world import World


class Bench:
    def __init__(self):
        self.ledger = Ledger()
        self.worlds = {}
        for name in "ab":
            self.worlds[name] = World()
            self.ledger.add(name, self.worlds[name])

    def read(self, name="a"):
        return self.worlds[name].get(self.worlds[name].adc[PIN])

    def blink(self, name="a"):
        world = self.worlds[name]
        world.pulses[world.led] += 1

    def take(self, name="a"):
        value = self.read(name)
        self.blink(name)
        return value


def test_no_value_is_given_twice_and_blinks_say_which_were_taken():
    b = Bench()
    values = [b.take(n) for n in "aabba"]
    assert len(set(values)) == 5 and b.ledger.taken() == set(values)
    assert values[0] == PER_BOARD and b.ledger.taken("b") == {values[2], values[3]}
    assert b.worlds["a"].taken == 3
    assert b.ledger.judge(Counter(values)).good
    b.ledger.quiet()
    assert b.read() == QUIET and b.ledger.judge(Counter(values)).read == 5


def test_lost_doubled_and_made_up_are_found():
    b = Bench()
    one, two = b.take(), b.take()
    v = b.ledger.judge(Counter([one]))
    assert v.lost == [two] and not v.good
    v = b.ledger.judge(Counter([one, two, two]))
    assert v.doubled == [two] and not v.good
    v = b.ledger.judge(Counter([one, two, 77]))
    assert v.wrong == [77] and not v.good


def test_what_the_power_cut_left_open_may_be_stored_or_not():
    b = Bench()
    one = b.take()
    open_ = b.read()
    b.ledger.down("a")
    two = b.take()
    for stored, extra in (([one, two], 0), ([one, open_, two], 1)):
        v = b.ledger.judge(Counter(stored))
        assert v.good and v.extra == extra and v.taken == 2


def test_a_reading_that_was_refused_must_not_be_stored():
    b = Bench()
    refused = b.read()
    one = b.take()  # it read on: the one before was refused
    assert b.ledger.judge(Counter([one])).good
    assert b.ledger.judge(Counter([refused, one])).wrong == [refused]


def test_values_of_texts():
    assert [value_of(t) for t in ("n=17", "n=", "n=-1", "m=1", "", "n=1 C")] == [17] + [-1] * 5


def test_a_seed_is_a_plan():
    orders = [Plan(seed, KINDS, 5, 60)._orders for seed in (1, 1, 2)]
    times = [{k: o[k][1] for k in o} for o in orders]
    assert times[0] == times[1] != times[2]
    for at in times[0].values():
        assert len(at) == 5 and at == sorted(at) and 0 <= at[0][0] and at[-1][0] < 60


def test_a_harm_that_fails_ends_the_run_and_is_told():
    class Stage:
        names = ["a"]

        class boards:
            class rack:
                @staticmethod
                def reset(name):
                    raise ToolError("No board a.")

    with pytest.raises(ToolError, match="No board a"):
        Plan(1, ["reset"], 1, 0.1).run(Stage, lambda: None)

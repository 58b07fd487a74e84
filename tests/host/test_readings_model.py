"""The sink draws what a node kept to itself: the node's own code feeds it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from l4mesh.predict import Predictor
from l4tools.readings.model import HEARTBEAT_S, Lines


def series(values, band, every=10):
    """What the sink makes of a sensor's values: [(time ms, value, predicted)], and how many left.

    A None among `values` is a read that failed.
    """
    p, lines, out, sent = Predictor(band, every), Lines(), [], 0
    for i, v in enumerate(values):
        if v is None:
            p.gap()
        elif p.due(v):
            told = lines.feed(i * every * 1000, "t=%.6g °C%s" % (v, p.suffix(v)))
            p.sent()
            sent += 1
            assert told.text == "t=%.6g °C" % v and told.band == band
            out += [(x.time_ms, x.value, True) for x in told.before]
            out.append((i * every * 1000, v, False))
    return out, sent, lines


@given(
    st.lists(st.one_of(st.none(), st.floats(-50, 50, width=32)), max_size=60),
    st.sampled_from([0.125, 1.0, 8.0]),
)
@settings(max_examples=150, deadline=None)
def test_every_value_lies_within_the_band_at_its_own_time(values, band):
    out, sent, _ = series(values, band)
    known = {i * 10000: v for i, v in enumerate(values) if v is not None}
    for time_ms, value, predicted in out:
        # A reading itself has 6 digits.
        assert abs(known.pop(time_ms) - value) <= (band if predicted else 1e-4)
    # Only what came after the last reading is not known yet.
    assert all(t > out[-1][0] for t in known) if out else not known


def test_a_slow_walk_needs_few_messages():
    rng = random.Random(5)
    v, values = 21.0, []
    for _ in range(2000):
        v += rng.gauss(0, 0.01)
        values.append(v)
    out, sent, _ = series(values, 0.2)
    assert sent < 120 and len(out) > 1900


def test_times_are_spread_when_the_clock_of_the_node_runs_fast():
    lines = Lines()
    lines.feed(0, "t=1 \t0! 1 0 0.5 10")
    told = lines.feed(44000, "t=1 \t3 1 0 0.5 10")
    assert [p.time_ms for p in told.before] == [11000, 22000, 33000]


def test_before_a_gap_the_line_is_drawn_at_the_sensors_beat():
    lines = Lines()
    lines.feed(0, "t=1 \t0! 1 0.5 0.5 10")
    told = lines.feed(99000, "t=9 \t2! 9 0 0.5 10")
    assert told.gap and told.before == [(10000, 1.5), (20000, 2.0)]


def test_ahead_ends_at_the_heartbeat():
    lines = Lines()
    lines.feed(1000, "t=1 °C\t0! 1 0.5 0.5 10")
    assert lines.ahead("t", 31000) == [(11000, 1.5), (21000, 2.0), (31000, 2.5)]
    assert len(lines.ahead("t", 10**9)) == HEARTBEAT_S // 10
    assert lines.ahead("t", 0) == lines.ahead("other", 10**9) == []


def test_readings_without_a_time_are_drawn_without_one():
    lines = Lines()
    lines.feed(None, "t=1 \t0! 1 0 0.5 10")
    assert lines.feed(5000, "t=1 \t2 1 0 0.5 10").before == [(None, 1.0), (None, 1.0)]


@pytest.mark.parametrize(
    "text",
    ["t=1 °C", "t=1\tnonsense", "t=1\t1 2 3", "t=1\t1! a b c d", "\t", "t=1\t9999 1 1 1 1"]
    + ["t=1\t1 inf 1 1 1", "t=1\t1 1 nan 1 1", "t=1\t1 1 1 1 0", "t=1\t1 1 1 1 -5"],
)
def test_other_text_is_passed_on(text):
    assert Lines().feed(0, text) == (text, [], False, None)

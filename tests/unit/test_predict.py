"""The dead band of a sensor: what is sent, what is kept back; the sink is never misled."""

from l4mesh.predict import Predictor
from l4mesh.prng import XorShift


def draw(sent, band):
    """What a sink makes of [(suffix, value)]: every value in order, None where there is a gap."""
    out = []
    line = None
    for suffix, value in sent:
        k, level, slope, told, every = suffix[1:].split(" ")
        assert abs(float(told) - band) < band / 1000 and float(every) > 0
        if line:
            out += [line[0] + line[1] * (i + 1) for i in range(int(k.strip("!")))]
        if k[-1] == "!":
            out.append(None)
        out.append(value)
        line = (float(level), float(slope))
    return out


def run(values, band, every=10):
    """(sent, values that the sink can know: all up to the last one sent)."""
    p = Predictor(band, every)
    sent = []
    last = 0
    for i, v in enumerate(values):
        if v is None:
            p.gap()
        elif p.due(v):
            sent.append((p.suffix(v), v))
            p.sent()
            last = i + 1
    return sent, values[:last]


def noise(n, seed=7):
    rng = XorShift(seed)
    return [(rng.getrandbits(16) - 32768) / 32768 for _ in range(n)]


def check(values, band, most):
    sent, known = run(values, band)
    got = draw(sent, band)
    assert got[0] is None  # nothing is known before the first
    got = got[1:]
    assert len(got) == len(known)
    worst = max(abs(got[i] - known[i]) for i in range(len(got)))
    assert worst <= band, worst
    assert len(sent) <= most, len(sent)
    return sent


def test_a_constant_is_sent_at_heartbeats_only():
    # 15 minutes of 10 s: 90 values may be kept back
    assert len(check([21.5] * 1000, 0.2, 11)) == 11


def test_a_ramp_is_a_line():
    check([20 + 0.03 * i for i in range(1000)], 0.2, 40)


def test_noise_within_the_band_is_not_sent():
    check([21.5 + 0.1 * x for x in noise(1000)], 0.25, 30)


def test_steps_are_sent_at_once():
    values = [0.0] * 100 + [1.0] * 100 + [0.0] * 100
    sent, _ = run(values, 0.5)
    assert len(sent) <= 9
    assert draw(sent, 0.5)[1:] == values[: len(draw(sent, 0.5)) - 1]


def test_large_values_keep_the_band():
    check([101325.0 + 30 * x for x in noise(500)], 40, 40)


def test_rare_values_are_all_sent():
    sent, _ = run([5.0] * 10, 1, every=1000)
    assert len(sent) == 10


def test_nothing_is_predicted_over_a_gap():
    values = [1.0] * 5 + [None] * 3 + [1.0] * 4 + [9.0]
    sent, _ = run(values, 0.5)
    assert [s.split(" ")[0] for s, _ in sent] == ["\t0!", "\t4!", "\t3"]
    assert draw(sent, 0.5) == [None] + [1.0] * 5 + [None] + [1.0] * 4 + [9.0]


def test_what_was_not_taken_is_a_gap():
    p = Predictor(0.5, 10)
    assert p.due(1.0)
    p.suffix(1.0)  # the queue refused it
    assert p.due(1.0)
    p.suffix(1.0)
    p.sent()
    assert not p.due(1.0) and p.kept == 1
    assert p.due(5.0)
    assert p.suffix(5.0)[:3] == "\t1 "
    assert p.due(5.0)  # refused: the value before it is still told, with the one that goes
    assert p.suffix(5.0)[:3] == "\t1!"
    p.sent()
    assert not p.due(5.0)


def test_a_band_of_nothing_is_refused():
    for band in (0, -1):
        try:
            Predictor(band, 10)
        except ValueError as e:
            assert "leave it out" in str(e)
        else:
            raise AssertionError(band)


def test_the_suffix_is_short():
    p = Predictor(0.0123456, 86400)
    for v in (123456.789, -123456.789, 1e-9):
        p.due(v)
        assert len(p.suffix(v)) <= 48

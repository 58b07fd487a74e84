from l4mesh.way import DIRECT, NONE, OPENING, RELAYED, Path, Way
from l4mesh.ways_text import STATES

SID = b"peerpeer"


def test_an_endpoint_of_its_own():
    assert Way(0x1234, SID, 5).addr == bytes((0, 1, 0x12, 0x34, 0, 1))
    assert Way(1, SID, 5).addr != Way(2, SID, 5).addr


def test_what_was_tried_is_bounded_and_in_order():
    w = Way(1, SID, 1000)
    for k in range(20):
        w.note("l%d" % k, 2, 1000 + k)
    assert len(w.tried) == 8 and w.tried[0] == ("l12", 2, 12) and w.tried[-1] == ("l19", 2, 19)
    w.note("l15", 2, 1500)
    assert len(w.tried) == 8 and w.tried[-1] == ("l15", 2, 500)
    w.note("l15", 3, 1600)
    assert ("l15", 2, 500) in w.tried and ("l15", 3, 600) in w.tried


def test_paths_are_bounded_and_the_one_in_use_stays():
    w = Way(1, SID, 0)
    w.add(Path(b"channel0", b"addr00", None, 0))
    w.use = w.paths[0]
    for k in range(1, 6):
        w.add(Path(b"channel%d" % k, b"addr00", None, k))
    assert len(w.paths) == 3 and w.paths[0] is w.use and w.paths[-1].channel == b"channel5"
    assert w.path_of(b"channel5", b"addr00") is w.paths[-1]
    assert w.path_of(b"channel5", b"addr01") is None and w.path_of(b"channel1", b"addr00") is None


def test_states_and_the_time_to_the_first_path():
    w = Way(1, SID, 2**30 - 50)
    assert not w.set(OPENING, 10) and w.ms < 0
    assert w.set(RELAYED, 100) and w.ms == 150 and w.since == 100
    assert w.set(DIRECT, 200) and w.ms == 150
    assert w.set(NONE, 300) and not w.set(NONE, 400) and w.since == 300
    assert [STATES[k] for k in (NONE, OPENING, RELAYED, DIRECT)] == [
        "none", "opening", "relayed", "direct",
    ]  # fmt: skip

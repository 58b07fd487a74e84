"""`l4 queue`: what waits on a board, from its own status; and the wear that follows from it."""

from kit import bare_node
from l4mesh.counters import Counters
from l4mesh.info import Info
from l4mesh.queue import Queue
from l4mesh_io.store_ram import RamSegments
from l4tools.commands.queue import describe
from l4tools.readings import wear

T = 1_800_000_000_000


def status(readings):
    """The status document of a node that took these (time, flags) and reached nobody."""
    n = bare_node(1)
    q = Queue(RamSegments(5), lambda k: bytes(range(1, k + 1)), Counters(), 4)
    q.open()
    from l4mesh.prng import XorShift

    n.attach_queue(q, XorShift(1))
    for time, flags in readings:
        assert n.submit(b"t=1 C", 5, time.to_bytes(6, "big"), flags, 1)
    return Info(n).document(1, 10)


def test_the_oldest_and_its_age():
    said = status([(T + 1000 * i, 1) for i in range(30)])
    told = describe(said, T / 1000 + 3600)
    assert told["waiting"] == 30 and told["oldest_age_s"] == 3600
    assert told["oldest_time"] == "2027-01-15T08:00:00.000Z" and told["oldest_sequence"] == 0
    assert told["dropped"] == 0 and told["taken_since_start"] == 30 and told["segments"] == 1
    assert told["flash_bytes_since_start"] > 30 * 23


def test_an_empty_queue_and_one_without_a_date():
    told = describe(status([]), 0)
    assert told["waiting"] == 0 and told["oldest_age_s"] is None and told["oldest_time"] is None
    told = describe(status([(7 << 32 | 5, 0)]), 0)
    assert told["waiting"] == 1 and told["oldest_time"] == "not known yet"
    assert told["oldest_age_s"] is None


def test_a_node_without_a_queue_says_so():
    assert "takes no readings" in describe(Info(bare_node(1)).document(1, 10), 0)["delivery"]


def test_wear_follows_the_rate():
    assert wear.years(0, 1000) is None and wear.years(5000, 5) is None
    slow, fast = wear.years(10_000, 600), wear.years(100_000, 600)
    assert slow > fast > 0 and abs(slow / fast - 10) < 1
    # One reading of 37 B in ten seconds, for a day.
    assert 10 < wear.years(8640 * 37, 1440) < 25

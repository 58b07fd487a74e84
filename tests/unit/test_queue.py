"""The reading queue against a simple model, and at its limits."""

from l4mesh.counters import (
    C_ACK_FOREIGN,
    C_ACKED,
    C_DROPPED,
    C_FLASH_FAIL,
    C_TAKEN,
    C_VOLATILE,
    Counters,
)
from l4mesh.prng import XorShift
from l4mesh.queue import Queue, encode_reading
from l4mesh_io.store_ram import RamSegments

_buf = bytearray(1200)
_one = bytearray(128)


def entropy(n):
    return bytes(range(1, n + 1))


def make(port=None, cap=16, volatile=False):
    q = Queue(port or RamSegments(cap + 1), entropy, Counters(), cap, volatile)
    assert q.open()
    return q


def push(q, i, pad=0):
    data = b"n=%d " % i + b"x" * pad
    return q.push(_one, encode_reading(_one, 0, data, len(data), bytes(6)))


def parse(buf, off, end):
    """Numbers of the readings in buf[off:end]."""
    out = []
    while off < end:
        k = buf[off] + 1
        out.append(int(bytes(buf[off + 12 : off + k]).split(b" ")[0]))
        off += k
    assert off == end
    return out


def drain(q, room=1127):
    """{sequence: number} of all that batch() hands out."""
    got = {}
    while True:
        made = q.batch(_buf, 7, room)
        if made is None:
            return got
        first, count, end = made
        assert count and end <= 7 + room
        for i, number in enumerate(parse(_buf, 7, end)):
            assert first + i not in got
            got[first + i] = number


def raises(f):
    try:
        f()
    except ValueError:
        return True
    return False


def test_encode_reading_bytes():
    end = encode_reading(_one, 1, b"t=21.5 C", 8, b"\x00\x01\x02\x03\x04\x05", 3, 258)
    assert bytes(_one[1:end]) == b"\x11\x03\x00\x01\x02\x03\x04\x05\x01\x02t=21.5 C"
    assert raises(lambda: encode_reading(_one, 0, b"", 0, bytes(6)))
    assert raises(lambda: encode_reading(_one, 0, b"x" * 101, 101, bytes(6)))


def test_misuse_is_said_early():
    q = make()
    assert raises(lambda: q.push(_one, 5))
    assert raises(lambda: q.push(b"\x0b" + bytes(10), 11))
    assert raises(lambda: q.batch(_buf, 0, 109))
    assert raises(lambda: Queue(RamSegments(2), entropy, Counters(), 1))


def test_ten_thousand_pushes_with_random_acks_against_a_model():
    rng = XorShift(42)
    port = RamSegments(9)
    q = make(port, 8)
    c = q._counters
    model = {}  # sequence -> number, pending by the model
    acked = dropped = boots = 0
    for i in range(10000):
        assert push(q, i, rng.getrandbits(6))
        model[i] = i
        if q.dropped > dropped:
            for seq in sorted(model)[: q.dropped - dropped]:
                del model[seq]  # the oldest go first
        dropped = q.dropped
        assert q.pending == len(model)
        if rng.getrandbits(4) == 0:
            first = max(i - rng.getrandbits(9), 0)
            last = min(first + rng.getrandbits(7), i + 5)
            new = [s for s in range(first, last + 1) if s in model]
            assert q.ack(q.id, ((first, last),)) == len(new)
            for s in new:
                del model[s]
            acked += len(new)
        if rng.getrandbits(9) == 0:
            q.rewind()
            assert drain(q, 200 + rng.getrandbits(9)) == model
            assert q.oldest() == (min(model) if model else -1)
        if rng.getrandbits(10) == 0:  # a boot: acknowledgements in live segments are forgotten
            boots += 1
            before = q.dropped
            q.open()
            assert q.dropped == before
            got = drain(q)
            assert all(got.get(s) == n for s, n in model.items())
            assert all(s == n for s, n in got.items())
            acked -= len(got) - len(model)
            model = got
    assert boots > 3 and dropped > 100
    assert c.get(C_TAKEN) == 10000 == q.readings and c.get(C_DROPPED) == dropped
    assert c.get(C_ACKED) >= acked and 10000 == acked + dropped + q.pending
    assert c.get(C_FLASH_FAIL) == 0 and len(port.list()) == q.segments <= 8


def test_a_batch_is_the_same_when_it_is_written_again():
    q = make()
    for i in range(250):
        push(q, i, i % 60)
    made = []
    while True:
        b = q.batch(_buf, 0, 1127)
        if b is None:
            break
        made.append((b[0], b[1], bytes(_buf[: b[2]])))
        if len(made) < 4:
            push(q, 1000 + len(made))
    assert sum(m[1] for m in made) == 253 and len(made) > 8
    q.ack(q.id, ((made[1][0], made[1][0] + 2),))
    for first, count, data in reversed(made):
        end = q.again(first, count, _buf, 3, 1127)
        assert bytes(_buf[3:end]) == data
    assert q.again(9999, 1, _buf, 0, 1127) == -1
    assert q.again(made[0][0], 200, _buf, 0, 1127) == -1


def test_again_does_not_move_the_cursor():
    q = make()
    for i in range(60):
        push(q, i, 40)
    a = q.batch(_buf, 0, 400)
    b = q.batch(_buf, 0, 400)
    q.again(a[0], a[1], _buf, 0, 400)
    c = q.batch(_buf, 0, 400)
    assert parse(_buf, 0, c[2])[0] == c[0] == b[0] + b[1]


def test_batches_fill_their_room():
    q = make()
    for i in range(80):
        push(q, i, 20)
    first, count, end = q.batch(_buf, 0, 1127)
    assert 1127 - end < 40 and first == 0 and count == len(parse(_buf, 0, end))


def test_acks_out_of_order_free_segments_when_all_is_covered():
    port = RamSegments(9)
    q = make(port, 8)
    for i in range(400):
        push(q, i, 20)
    n = q.segments
    assert n > 4
    q.ack(q.id, ((390, 399), (200, 300)))
    q.ack(q.id, ((0, 0), (2, 199)))
    assert q.pending == 90 and q.oldest() == 1 and 0 in port.list()
    assert not q.settled(0, 3) and q.settled(2, 20)
    q.ack(q.id, ((1, 1),))
    assert 0 not in port.list() and q.oldest() == 301 and q.settled(0, 3)
    q.ack(q.id, ((0, 0x3FFFFFFF),))
    assert q.pending == 0 and q.segments == 1 and q.oldest() == -1
    assert q.batch(_buf, 0, 1127) is None


def test_acks_for_others_and_for_the_future_change_nothing():
    q = make()
    for i in range(10):
        push(q, i)
    assert q.ack(b"\xff" * 8, ((0, 9),)) == -1
    assert q.pending == 10 and q._counters.get(C_ACK_FOREIGN) == 1
    assert q.ack(q.id, ((10, 0x3FFFFFFF),)) == 0
    push(q, 10)
    assert q.pending == 11


def test_the_cap_drops_the_oldest_and_counts_exactly():
    q = make(None, 2)
    for i in range(1000):
        assert push(q, i, 30)
    got = drain(q)
    assert q.dropped == 1000 - len(got) == q._counters.get(C_DROPPED)
    assert sorted(got) == list(range(1000 - len(got), 1000))
    assert all(s == n for s, n in got.items())


def test_what_was_acknowledged_does_not_count_as_dropped():
    q = make(None, 2)
    for i in range(100):
        push(q, i, 30)
    q.ack(q.id, ((0, 9), (50, 59)))
    for i in range(100, 1000):
        push(q, i, 30)
    assert q.dropped == 1000 - 20 - q.pending


class Full(RamSegments):
    """A flash that can be full: appends fail, also half-way."""

    mode = ""

    def append(self, no, buf, n):
        if self.mode == "full":
            return False
        if self.mode == "half":
            RamSegments.append(self, no, buf, n // 2)
            return False
        return RamSegments.append(self, no, buf, n)


def test_a_full_flash_refuses_and_recovers():
    for mode in ("full", "half"):
        port = Full(12)
        q = make(port, 10)
        for i in range(5):
            assert push(q, i)
        port.mode = mode
        for i in range(3):
            assert not push(q, 100 + i)
        assert q.pending == 5 and q.readings == 5 and q._counters.get(C_FLASH_FAIL) == 3
        port.mode = ""
        for i in range(5, 10):
            assert push(q, i)
        want = {i: i for i in range(10)}
        assert drain(q) == want
        q.open()
        assert drain(q) == want and q.dropped == 0


def test_full_before_the_first_reading():
    port = Full(3)
    port.mode = "full"
    q = make(port, 2)
    assert not push(q, 0) and q.oldest() == -1
    port.mode = ""
    assert push(q, 0) and drain(q) == {0: 0}


def test_a_flash_that_cannot_be_read_costs_no_reading():
    class Blind(RamSegments):
        blind = False

        def read(self, no, off, buf):
            return -1 if self.blind else RamSegments.read(self, no, off, buf)

    port = Blind(5)
    q = make(port, 4)
    for i in range(10):
        push(q, i)
    port.blind = True
    assert q.batch(_buf, 0, 500) is None and q._counters.get(C_FLASH_FAIL) == 10
    port.blind = False
    q.rewind()
    assert drain(q) == {i: i for i in range(10)}


def test_volatile_says_so_in_the_reading():
    q = make(RamSegments(3), 2, True)
    push(q, 1)
    q.batch(_buf, 0, 200)
    assert _buf[1] == 5 and q._counters.get(C_VOLATILE) == 1 and q.volatile


def test_opens_by_itself_when_the_medium_comes_late():
    class Late(RamSegments):
        late = True

        def list(self):
            return None if self.late else RamSegments.list(self)

    port = Late(3)
    q = Queue(port, entropy, Counters(), 2)
    assert not push(q, 0) and q._counters.get(C_FLASH_FAIL) == 1
    port.late = False
    assert push(q, 0) and q.pending == 1


def test_bytes_written_is_what_reached_the_medium():
    port = RamSegments(5)
    q = make(port, 4)
    for i in range(200):
        push(q, i)
    assert q.bytes_written == sum(port._len)


def test_what_is_handed_over_goes_last():
    q = make()
    for i in range(200):
        assert push(q, i, 20)
    assert q.since(0, _buf, 7, 110)[:2] == (0, 3)
    first, count, end = q.since(60, _buf, 7, 1087)
    assert first == 60 and parse(_buf, 7, end) == list(range(60, 60 + count))
    q.ack(q.id, ((60, 70),))
    assert q.since(60, _buf, 7, 1087)[0] == 71 and q.since(200, _buf, 7, 1087) is None
    q.handed = 100
    q.split()
    push(q, 200)
    order = []
    while True:
        made = q.batch(_buf, 7, 1087)
        if made is None:
            break
        order += parse(_buf, 7, made[2])
    assert order == [200] + list(range(100, 200)) + list(range(60)) + list(range(71, 100))
    assert q.batch(_buf, 7, 1087) is None
    push(q, 201)
    assert q.batch(_buf, 7, 1087)[0] == 201 and q.batch(_buf, 7, 1087) is None
    q.rewind()
    assert sorted(drain(q)) == list(range(60)) + list(range(71, 202))
    q.handed = 0
    q.rewind()
    assert sorted(drain(q)) == list(range(60)) + list(range(71, 202))
    assert q.open() and q.handed == 0


def test_somebody_may_count_what_the_cap_takes():
    q = make(cap=2)
    seen = []

    def dropping(segments, row):
        seen.append((segments.first[row], segments.count[row]))
        return 3

    for i in range(500):
        if i == 100:
            q.on_drop(dropping)
        assert push(q, i, 30)
    assert seen and seen[0][0] == 0
    assert q.dropped == sum(n for _, n in seen) - 3 * len(seen) == q._counters.get(C_DROPPED)
    q.on_drop(None)
    n = len(seen)
    for i in range(200):
        assert push(q, i, 30)
    assert len(seen) == n and q.pending + q.dropped + 3 * n == 700


def test_what_came_after_a_split_goes_first_and_nothing_is_left_out():
    q = make()
    for i in range(300):
        push(q, i)
    q.split()
    for i in range(300, 340):
        push(q, i)
    first, count, end = q.batch(_buf, 7, 300)
    assert first == 300 and parse(_buf, 7, end)[0] == 300
    order = []
    while True:
        made = q.batch(_buf, 7, 500)
        if made is None:
            break
        order += range(made[0], made[0] + made[1])
    # The rest of the live ones, then history from the oldest on.
    assert order == list(range(300 + count, 340)) + list(range(300))
    push(q, 340)
    assert q.batch(_buf, 7, 300)[0] == 340
    q.rewind()
    assert sorted(drain(q)) == list(range(341))

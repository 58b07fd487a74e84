"""Delivery of batches on a virtual clock, with a stand-in upstream that stores by sequence."""

from struct import pack_into, unpack_from

from l4mesh import ticks
from l4mesh.counters import C_ACK_FOREIGN, C_ACKED, C_BAD_PARSE, Counters
from l4mesh.prng import XorShift
from l4mesh.queue import Queue, encode_reading
from l4mesh.sync import Sync
from l4mesh_io.store_ram import RamSegments

OFF = 28
ORIGIN = bytes(range(16))
_one = bytearray(128)


class Upstream:
    """Answers batches after a delay; may be dead, deaf, busy, lossy or refuse to take any."""

    def __init__(self, seed=1, delay=40):
        self.rng = XorShift(seed)
        self.delay = delay
        self.stored = {}  # (queue id, sequence) -> reading
        self.doubled = 0  # readings that came again
        self.sent = []  # (now, first, count) of each batch that left the node
        self.flying = []  # (when, ack payload)
        self.dead = self.busy = self.refuse = False
        self.loss = 0  # of 16

    def send(self, buf, n, now):
        if self.refuse:
            return False
        origin, queue_id, first, count = unpack_from(">16s8sIB", buf, OFF)
        assert origin == ORIGIN and n <= 1156 and len(queue_id) == 8
        self.sent.append((now, first, count))
        if self.dead or self.rng.getrandbits(4) < self.loss:
            return True
        o = OFF + 29
        for i in range(count):
            k = buf[o] + 1
            key = (queue_id, first + i)
            data = bytes(buf[o : o + k])
            self.doubled += key in self.stored
            assert self.stored.get(key, data) == data
            self.stored[key] = data
            o += k
        assert o == OFF + n
        if self.rng.getrandbits(4) >= self.loss:
            when = ticks.add(now, self.delay)
            self.flying.append((when, ack(queue_id, ((first, first + count - 1),), self.busy)))
        return True


def ack(queue_id, ranges, status=0, origin=ORIGIN):
    p = bytearray(26 + 8 * len(ranges))
    pack_into(">16s8sBB", p, 0, origin, queue_id, int(status), len(ranges))
    for i, r in enumerate(ranges):
        pack_into(">II", p, 26 + 8 * i, r[0], r[1])
    return p


class Bench:
    """A queue, its sync and an upstream; the clock starts 5 s before it wraps."""

    def __init__(self, cap=16, **kw):
        self.c = Counters()
        self.q = Queue(RamSegments(cap + 1), lambda n: b"queueid!"[:n], self.c, cap)
        self.q.open()
        self.up = Upstream(**kw)
        self.buf = bytearray(1200)
        self.s = Sync(self.q, self.up.send, self.c, XorShift(7), ORIGIN, self.buf, OFF)
        self.t0 = self.now = ticks.MASK - 5000
        self.pushed = 0

    def push(self, count=1):
        for _ in range(count):
            data = b"n=%d and some more text" % self.pushed
            n = encode_reading(_one, 0, data, len(data), bytes(6))
            assert self.q.push(_one, n)
            self.pushed += 1

    def run(self, ms):
        """Let time pass: jump from event to event as the runner does."""
        end = ticks.add(self.now, ms)
        while True:
            wait = self.s.poll(self.now)
            assert wait > 0
            step = min(wait, ticks.diff(end, self.now))
            for when, _ in self.up.flying:
                step = min(step, max(ticks.diff(when, self.now), 0))
            if step == 0 and ticks.diff(end, self.now) <= 0:
                return
            self.now = ticks.add(self.now, step)
            due = [f for f in self.up.flying if ticks.diff(f[0], self.now) <= 0]
            self.up.flying = [f for f in self.up.flying if ticks.diff(f[0], self.now) > 0]
            for _, p in due:
                self.s.on_ack(b"xyz" + bytes(p), 3, len(p), self.now)

    def all_stored(self):
        return len(self.up.stored) == self.pushed and self.q.pending == 0


def test_a_reading_goes_out_at_once_and_once():
    b = Bench()
    assert b.s.poll(b.now) == 60000 and b.s.why() == "idle; 0 readings wait"
    b.push()
    wait = b.s.poll(b.now)
    assert (
        750 <= wait <= 1250 and b.s.why() == "sending, 1 of 1 batches in flight; 1 readings wait"
    )
    b.run(200)
    assert b.all_stored() and b.up.doubled == 0 and len(b.up.sent) == 1
    b.run(100000)
    assert len(b.up.sent) == 1 and b.c.get(C_ACKED) == 1


def test_the_window_opens_to_four():
    b = Bench(delay=500)
    b.push(500)
    b.run(400)
    assert len(b.up.sent) == 1
    b.run(501)
    assert len(b.up.sent) == 3  # one acknowledged, so two at a time
    b.run(60000)
    assert b.all_stored() and b.up.doubled == 0
    at = [s[0] for s in b.up.sent]
    assert max(at.count(t) for t in at) <= 4
    flying = [sum(0 <= ticks.diff(t, u) < 500 for u in at) for t in at]
    assert max(flying) == 4


def test_backoff_while_nobody_answers_then_slow_start():
    b = Bench()
    b.push(300)
    b.up.dead = True
    b.run(600000)
    sent = list(b.up.sent)
    assert 10 <= len(sent) <= 20 and len(set(s[1:] for s in sent)) == 1  # same boundaries
    gaps = [ticks.diff(sent[i + 1][0], sent[i][0]) for i in range(len(sent) - 1)]
    assert 750 <= gaps[0] <= 1250 and gaps[1] > gaps[0] and 45000 <= max(gaps) <= 75000
    assert "no acknowledgement after" in b.s.why()
    b.up.dead = False
    b.run(80000)
    assert b.all_stored() and b.s.why() == "idle; 0 readings wait"


def test_loss_both_ways_stores_everything_once():
    for seed in range(1, 6):
        b = Bench(seed=seed)
        b.up.loss = 4
        for _ in range(40):
            b.push(12)
            b.run(3000)
        b.up.loss = 0
        b.run(200000)
        assert b.all_stored() and b.up.doubled > 0 and b.q.dropped == 0


def test_a_link_that_takes_nothing():
    b = Bench()
    b.up.refuse = True
    b.push(5)
    b.run(30000)
    assert b.up.sent == [] and b.s.why() == "holding back, the link took nothing; 5 readings wait"
    b.up.refuse = False
    b.run(60000)
    assert b.all_stored() and b.up.doubled == 0


def test_not_now_holds_back_and_its_ranges_count():
    b = Bench()
    b.push(200)
    b.up.busy = True
    b.run(5000)
    assert "the upstream said not now" in b.s.why()
    n = len(b.up.sent)
    assert 2 <= n <= 5 and b.c.get(C_ACKED) == sum(s[2] for s in b.up.sent)
    b.up.busy = False
    b.run(60000)
    assert b.all_stored() and b.up.doubled == 0


def test_pause_and_resume():
    b = Bench()
    b.push(100)
    b.s.poll(b.now)
    b.s.pause(b.now)
    b.up.flying = []
    assert b.s.poll(b.now) == 60000 and "paused" in b.s.why()
    b.run(100000)
    assert len(b.up.sent) == 1
    b.s.resume(b.now)
    start = b.now
    b.run(4200)
    again = b.up.sent[1]
    assert again[1:] == b.up.sent[0][1:] and 0 <= ticks.diff(again[0], start) < 4096
    b.run(20000)
    assert b.all_stored()
    b.s.resume(b.now)  # twice is harmless
    assert b.s.poll(b.now) == 60000


def test_a_late_acknowledgement_still_counts():
    b = Bench(delay=5000)
    b.push(3)
    b.run(60000)
    assert b.all_stored() and len(b.up.sent) >= 2


def test_a_word_that_comes_hours_late_does_not_stretch_the_next_deadline():
    """The loop stood still (sleep, a debugger) with several batches on their way."""
    for late in (3600000, 100000000, 600000000):  # the last: diff() sees it in the future
        b = Bench()
        b.push(200)
        b.run(85)  # two words have come: three batches are on their way
        assert len(b.up.flying) >= 2
        _, first, count = b.up.sent[-len(b.up.flying)]
        b.up.flying = []  # the words for the others are lost
        b.now = ticks.add(b.now, late)
        p = ack(b.q.id, ((first, first + count - 1),))
        b.s.on_ack(p, 0, len(p), b.now)
        b.run(30000)
        assert b.q.pending == 0, late


def test_a_batch_dropped_at_the_cap_is_forgotten():
    b = Bench(cap=2)
    b.push(100)
    b.up.dead = True
    b.run(5000)
    b.push(500)
    b.up.dead = False
    b.run(120000)
    assert b.q.pending == 0 and b.q.dropped > 400
    assert b.q.dropped + b.c.get(C_ACKED) == 600


def test_a_reboot_sends_again_with_the_upstream_storing_once():
    b = Bench()
    b.push(150)
    b.run(60)
    b.q.open()
    b.s = Sync(b.q, b.up.send, b.c, XorShift(8), ORIGIN, b.buf, OFF)
    b.push(10)
    b.run(60000)
    assert b.all_stored() and b.up.doubled > 0


def test_bad_acks_are_counted_and_change_nothing():
    b = Bench()
    b.push(10)
    b.s.poll(b.now)
    b.up.flying = []
    q = b.q.id
    good = ack(q, ((0, 3), (5, 9)))
    bad = [bytes(good[:n]) for n in range(len(good))]
    bad.append(bytes(good) + b"\0")
    bad.append(bytes(ack(q, tuple((2 * i, 2 * i) for i in range(33)))))
    for ranges in (((5, 4),), ((5, 9), (0, 3)), ((0, 5), (5, 9)), ((0, 0x40000000),)):
        bad.append(bytes(ack(q, ranges)))
    bad.append(bytes(ack(q, ((0xFFFFFFFF, 0xFFFFFFFF),))))
    for p in bad:
        b.s.on_ack(p, 0, len(p), b.now)
    assert b.c.get(C_BAD_PARSE) == len(bad) and b.q.pending == 10
    for p in (ack(b"\0" * 8, ((0, 9),)), ack(q, ((0, 9),), 0, b"\xff" * 16)):
        b.s.on_ack(p, 0, len(p), b.now)
    assert b.c.get(C_ACK_FOREIGN) == 2 and b.q.pending == 10
    b.s.on_ack(good, 0, len(good), b.now)
    assert b.q.pending == 1
    b.s.on_ack(ack(q, ()), 0, 26, b.now)
    assert b.q.pending == 1 and b.c.get(C_BAD_PARSE) == len(bad)


def test_random_acks_never_raise():
    b = Bench()
    b.push(50)
    b.s.poll(b.now)
    rng = XorShift(3)
    for _ in range(3000):
        p = bytearray(ack(b.q.id, ((60, 70), (80, 90))))
        for _ in range(1 + rng.getrandbits(3)):
            p[rng.getrandbits(30) % len(p)] = rng.getrandbits(8)
        n = min(rng.getrandbits(6), len(p))
        b.s.on_ack(p, 0, n, b.now)
    assert 0 <= b.q.pending <= 50 and b.c.get(C_BAD_PARSE) > 1000


def test_misuse_is_said_early():
    b = Bench()
    for origin, size in ((b"short", 1200), (ORIGIN, 1156 + OFF - 1)):
        try:
            Sync(b.q, b.up.send, b.c, XorShift(1), origin, bytearray(size), OFF)
        except ValueError:
            continue
        raise AssertionError("accepted")


def test_after_an_outage_live_readings_go_before_history():
    b = Bench(delay=400)
    b.s.pause(b.now)
    b.push(1400)
    b.s.resume(b.now)
    while not b.up.stored:
        b.run(50)
    for _ in range(5):
        b.push(2)
        b.run(900)  # a round trip is 400 ms, and one may be under way
        newest = max(seq for _, seq in b.up.stored)
        assert newest == b.pushed - 1, "a live reading waits behind history"
    assert len(b.up.stored) < b.pushed - 100
    b.run(60000)
    assert b.all_stored() and b.up.doubled == 0


def test_history_is_complete_when_a_second_outage_interrupts_it():
    b = Bench()
    for _ in range(3):
        b.s.pause(b.now)
        b.push(150)
        b.s.resume(b.now)
        b.run(4300)
        b.push(3)
        b.run(20)
    b.run(60000)
    assert b.all_stored()


def test_batches_shrink_when_they_get_lost_and_grow_again():
    b = Bench()
    b.push(300)
    b.up.dead = True
    b.run(30000)
    b.up.sent.clear()
    b.up.dead = False
    b.run(200000)
    assert b.all_stored()
    counts = [count for _, _, count in b.up.sent]
    assert min(counts[1:4]) < 8 and max(counts) > 20


class Shared:
    """An upstream for many nodes that stores one batch in `each` ms, in the order of arrival."""

    def __init__(self, nodes, readings, each):
        self.each = each
        self.readings = readings
        self.free = 0  # when the last one in the line is done
        self.longest = 0
        self.batches = 0
        self.stored = bytearray(nodes * readings)
        self.again = 0

    def take(self, node, now, queue_id, first, count):
        self.batches += 1
        for seq in range(first, first + count):
            at = node * self.readings + seq
            self.again += self.stored[at]
            self.stored[at] = 1
        self.free = max(self.free, now) + self.each
        self.longest = max(self.longest, self.free - now)
        return self.free


def crowd(nodes, readings, each):
    """All of them come back at once with a backlog; ms until everything is stored."""
    up = Shared(nodes, readings, each)
    flying, benches = [], []
    for i in range(nodes):
        q = Queue(RamSegments(3), lambda n: b"queueid!"[:n], Counters(), 2)
        q.open()
        buf = bytearray(1200)
        for k in range(readings):
            n = encode_reading(_one, 0, b"n=%d and more text" % k, 16 + len(str(k)), bytes(6))
            assert q.push(_one, n)

        def send(b, n, now, i=i):
            _, queue_id, first, count = unpack_from(">16s8sIB", b, OFF)
            done = up.take(i, now, queue_id, first, count)
            flying.append((done + 20, i, ack(queue_id, ((first, first + count - 1),))))
            return True

        s = Sync(q, send, q._counters, XorShift(i + 1), ORIGIN, buf, OFF)
        s.pause(0)
        s.resume(0)
        benches.append([s, q, 0])
    now = 0
    while any(q.pending for _, q, _ in benches):
        assert now < 3600000
        for b in benches:
            if b[2] <= now:
                b[2] = now + b[0].poll(now)
        ripe = [f for f in flying if f[0] <= now]
        flying[:] = [f for f in flying if f[0] > now]
        for _, i, p in ripe:
            benches[i][0].on_ack(b"xyz" + bytes(p), 3, len(p), now)
            benches[i][2] = now
        now = min([b[2] for b in benches] + [f[0] for f in flying])
    return up, now


def test_a_crowd_that_comes_back_at_once_does_not_flood_the_upstream():
    up, took = crowd(60, 60, 15)
    least = up.batches * 15
    assert sum(up.stored) == 3600
    # What waits in the upstream is bounded, and little of it is repeated.
    assert up.longest < 2500 and up.again <= 3600 // 5
    assert took < 2 * least + 8000

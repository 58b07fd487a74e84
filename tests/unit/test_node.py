from kit import SIGNALS, Person, Wire, bare_node, count, events, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.config import Config
from l4mesh.events import EV_ANSWER, EV_MODE, EV_NEIGHBOUR
from l4mesh.identity import Identity
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh.queue import Queue
from l4mesh.ticks import MASK, add
from l4mesh_io.store_ram import RamSegments
from world import NETWORK, Entropy


def test_without_network_or_group_there_is_no_node():
    p = Person(1)
    for ident, word in ((Identity(p.seed, p.public), "network"),
                        (Identity(p.seed, p.public, NETWORK), "group")):  # fmt: skip
        try:
            Node(Config(), ident, Wire(p.addr), XorShift(1), Entropy(1), 0, None)
        except ValueError as e:
            assert word in str(e) and "provision" in str(e)
        else:
            raise AssertionError(word)


def test_poll_says_when():
    n = bare_node(1)
    now = 0
    polls = 0
    while now < 600000:
        wait = n.poll(now)
        assert 0 <= wait <= 60000
        now += max(1, wait)
        polls += 1
    assert polls < 200  # alone on the LAN there is not much to do


def test_a_node_without_neighbours_sleeps_between_hellos():
    n = bare_node(1)
    now = 0
    while now < 300000:
        now += max(1, n.poll(now))
    assert n.poll(now) > 1000


def test_its_own_id():
    n = bare_node(1)
    events(n)
    assert n.resolve(n.id, 10)
    assert events(n) == [(EV_ANSWER, n.id, wire.FOUND, 6, 0, bytes(n.own.record), None)]
    assert n.link.take(wire.T_QUERY) == []


def test_events_are_bounded_and_losses_are_counted():
    n = bare_node(1)
    events(n)
    for _ in range(100):
        n.resolve(n.id, 10)
    n.poll(11)
    assert len(events(n)) == 24 and count(n, C.C_EV_DROPPED) == 76


def test_a_mode_is_told_by_hello_and_record():
    n = bare_node(1)
    assert n.serve.mode == wire.STANDARD == n.hello.mode and n.own.caps == 3
    assert [e[2] for e in events(n) if e[0] == EV_MODE] == ["standard"]
    n.sample(1000, dict(SIGNALS, heap_free=1000))
    assert n.serve.mode == wire.PASSIVE == n.hello.mode and n.own.caps == 0
    assert count(n, C.C_MODE_CHANGES) == 1


def test_battery_is_told():
    n = bare_node(1)
    for level, told in ((None, 255), (0, 0), (55, 55), (250, 100)):
        n.sample(1000, dict(SIGNALS, battery=level))
        assert n.serve.battery == n.hello.battery == told


def test_demand_reaches_the_modes():
    n = bare_node(1)
    n.serve.requests, n.serve.hits = 30, 20
    n.sample(1000, dict(SIGNALS))
    assert (n.serve.requests, n.serve.hits) == (0, 0)
    assert n.modes._window.requests() == 30


def test_a_new_address_is_signed_and_told():
    n = bare_node(1)
    for now in range(0, 100000, 100):
        n.poll(now)
    n.link.take()
    n.link.local = bytes((10, 77, 1, 99, 16, 8))
    n.moved(100000)
    version = n.own.version
    sent = []
    for now in range(100000, 103200):
        n.poll(now)
        sent += n.link.take(wire.T_HELLO)
    assert n.own.version == version + 1 and bytes(n.own.record[49:55]) == n.link.local
    assert len(sent) >= 4 and sent[-1][0][34:42] == n.own.hash


def test_a_link_that_refuses_everything():
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    n.link.works = False
    p = Person(2)
    give(n, p, p.hello(), 0)
    n.resolve(b"x" * 16, 0)
    for now in range(0, 30000, 10):
        n.poll(now)
    assert count(n, C.C_TX) == 0 and count(n, C.C_TX_FAIL) > 10
    n.link.works = True
    for now in range(30000, 90000, 10):
        n.poll(now)
    assert count(n, C.C_TX) > 0


def test_any_tick_is_a_good_start():
    for start in (0, 1, MASK, MASK - 5000, MASK // 2, MASK // 2 + 1, 3 * (MASK // 4)):
        n = bare_node(1, now=start)
        p = Person(2)
        give(n, p, p.hello(), start)
        for ms in range(0, 8000, 20):
            n.poll(add(start, ms))
        sent = n.link.take()
        assert len([1 for f, _ in sent if f[1] == wire.T_HELLO]) >= 4, start
        assert len([1 for f, _ in sent if f[1] == wire.T_QUERY]) >= 3, start
        assert EV_NEIGHBOUR in [e[0] for e in events(n)]


def test_goodbye_and_silence():
    n = bare_node(1)
    n.stop(10, 1)
    assert [f[28:-16] for f, _ in n.link.take(wire.T_BYE)] == [b"\x01"]


class Tape:
    """A queue that takes everything, for submit."""

    def __init__(self):
        self.items = []

    def push(self, buf, n):
        self.items.append(bytes(buf[:n]))
        return True


def test_submit_without_a_queue_is_false():
    n = bare_node(1)
    assert not n.submit(b"t=1", 3, bytes(6), True, 0)
    n.queue = Tape()
    assert n.submit(b"t=1", 3, bytes(6), True, 0) and len(n.queue.items) == 1


class Broker:
    """An uplink by MQTT."""

    up = False
    sent = 0

    def publish(self, buf, n):
        self.sent += 1
        return True


def test_another_way_up_begins_the_readings_anew():
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    q = Queue(RamSegments(3), Entropy(5), n.counters, 2)
    assert q.open()
    n.attach_queue(q, XorShift(5))
    n.uplink = up = Broker()
    assert n.submit(b"t=1", 3, bytes(6), True, 0)
    n.poll(0)
    assert "paused" in n.sync.why()
    tier = n.tiers.list[0]

    def run(start, end):
        n.tiers.answered(tier, start)
        n.reach.look()
        tier.missed = -100  # silent in this test, but never taken for that
        n.link.take()
        up.sent = 0
        for now in range(start, end, 100):
            n.poll(now)
        return up.sent, len(n.link.take(wire.T_BATCH))

    up.up = True
    assert 5 <= run(0, 90000)[0] <= 8  # nobody acknowledges: the pauses grow
    # Each way is tried at once, as far as a crowd that does the same allows it.
    up.up = False
    mqtt, udp = run(90000, 94200)
    assert mqtt == 0 and 1 <= udp <= 3
    up.up = True
    mqtt, udp = run(94200, 98400)
    assert 1 <= mqtt <= 3 and udp == 0


def test_its_hello_says_that_it_reaches_an_upstream_also_by_mqtt_alone():
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    n.uplink = up = Broker()

    def said():
        n.link.take()
        n.hello.start(0)
        for now in range(0, 8000, 100):
            n.poll(now)
        return [s[0][28] & 2 for s in n.link.take(wire.T_HELLO)]

    assert set(said()) == {0}
    up.up = True
    assert set(said()) == {2}

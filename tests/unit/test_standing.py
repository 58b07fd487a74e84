from kit import Person, b2, count, gaps, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from meetkit import COOKIE, SEEN, Bed


def registers(b):
    return [(f, to) for f, to in b.sent(wire.T_REGISTER)]


def answer(b, h, f, status=0, hold=60, seen=SEEN):
    payload = f[28:32] + bytes((status,)) + parse_endpoint(seen) + b2(hold)
    b.say(h, wire.T_REGISTERED, payload)


def test_it_registers_with_neighbours_that_help():
    b = Bed(helpers=2, start=False)
    passive = Person(40, "10.77.1.230:4104")
    give(b.n, passive, passive.hello(mode=1), b.now)
    b.begin()
    b.meet.nat = b"12345678"
    b.run(2)
    got = registers(b)
    assert sorted(to for _, to in got) == sorted(h.addr for h in b.helpers)
    f = got[0][0]
    assert f[32:40] == b"12345678" and f[40:46] == b.n.own.lan and len(f) == 28 + 21 + 16


def test_three_at_most():
    b = Bed(helpers=6, start=False)
    b.begin()
    b.run(2)
    assert len(registers(b)) == 3


def test_a_cookie_is_brought_back_and_what_comes_is_kept():
    b = Bed(helpers=1, start=False)
    b.begin()
    b.run(2)
    ((f, to),) = registers(b)
    h = b.helpers[0]
    b.run(40)
    b.say(h, wire.T_COOKIE, f[24:28] + COOKIE)
    ((g, to),) = registers(b)
    assert g[28:36] == COOKIE and g[36:40] == f[28:32]
    b.run(25)
    answer(b, h, g[:28] + g[36:])
    (p,) = b.meet.standing.list
    assert p.ok and p.seen == parse_endpoint(SEEN) and p.rtt == 25


def test_every_twenty_seconds_or_so():
    b = Bed(helpers=1)
    times = []
    for _ in range(2400):
        b.run(50, 50)
        for f, _ in registers(b):
            times.append(b.now)
            b.run(30)
            answer(b, b.helpers[0], f)
    assert 5 <= len(times) <= 7
    assert all(20000 <= d <= 25100 for d in gaps(times))
    assert b.meet.standing.list[0].rtt == 30


def test_an_assistant_that_wants_it_all_the_time_does_not_get_it():
    b = Bed(helpers=1, start=False)
    b.begin()
    times = []
    for _ in range(1000):
        b.run(10, 10)
        for f, _ in registers(b):
            times.append(b.now)
            answer(b, b.helpers[0], f, hold=0)
    assert 2 <= len(times) <= 3 and min(gaps(times)) >= 5000


def test_a_silent_one_is_asked_five_times_and_rests():
    b = Bed(helpers=1, start=False)
    b.begin()
    b.run(4100)
    assert len(registers(b)) == 5 and not b.meet.standing.list[0].ok
    b.run(14000)
    assert registers(b) == []
    b.run(1500)
    assert len(registers(b)) >= 1


def test_a_late_answer_counts_with_its_own_round_trip():
    b = Bed(helpers=1, start=False)
    b.begin()
    b.run(160)
    first, second = (f for f, _ in registers(b))
    assert first[28:32] != second[28:32]
    b.run(80)
    answer(b, b.helpers[0], first)
    assert b.meet.standing.list[0].rtt >= 235 and b.meet.standing.list[0].ok


def test_who_refuses_is_left_alone():
    b = Bed(helpers=1, start=False)
    b.begin()
    b.run(2)
    answer(b, b.helpers[0], registers(b)[0][0], 1, 0)
    assert b.meet.standing.list == []
    b.run(50000, 100)
    assert registers(b) == []
    give(b.n, b.helpers[0], b.helpers[0].hello(interval=60), b.now)
    b.run(13000, 100)
    assert len(registers(b)) >= 1


def test_only_answers_to_what_was_asked():
    b = Bed(helpers=1, start=False)
    b.begin()
    b.run(2)
    f, _ = registers(b)[0]
    h = b.helpers[0]
    bad = count(b.n, C.C_BAD_PARSE)
    answer(b, h, f[:28] + b"\x00\x00\x09\x09")
    stranger = Person(50, "10.77.1.240:4104")
    answer(b, stranger, f)
    h.addr = parse_endpoint("10.77.1.241:4104")
    answer(b, h, f)
    assert count(b.n, C.C_BAD_PARSE) == bad + 3 and not b.meet.standing.list[0].ok


def test_a_change_is_told_at_once():
    b = Bed(helpers=2)
    b.meet.set_nat(b"87654321", b.now)
    b.run(2)
    assert [f[32:40] for f, _ in registers(b)] == [b"87654321"] * 2
    b.meet.set_nat(b"87654321", b.now)
    b.meet.moved(b.now)
    b.run(2)
    assert len(registers(b)) == 2


def test_one_that_is_gone_makes_room_for_another():
    b = Bed(helpers=1)
    h = b.helpers[0]
    give(b.n, h, h.frame(wire.T_BYE, wire.ALL, b"\x00"), b.now)
    other = Person(60, "10.77.1.235:4104")
    give(b.n, other, other.hello(), b.now)
    b.run(3000, 10)
    assert [p.sid for p in b.meet.standing.list] == [other.id[:8]]
    assert b.meet.standing.of(h.id[:8], h.addr) is None

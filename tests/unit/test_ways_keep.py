"""Time: what is due when. The ladder itself is in test_ways.py."""

from l4mesh.ticks import diff
from test_ways import NONE, OPENING, RELAYED, Bed


def test_pinged_every_twenty_to_twenty_five_seconds():
    b = Bed()
    b.open()
    b.run(2000)
    times = []
    for n in (b.a, b.b):  # either's ping is a word for both
        ping = n.ways.ping
        n.ways.ping = lambda w, p, now, go=ping: (times.append(b.w.now), go(w, p, now))
    b.run(200000)
    pauses = [times[k + 1] - times[k] for k in range(len(times) - 1)]
    pauses = [p for p in pauses if p > 100]  # both at once
    assert len(pauses) >= 7 and all(20000 <= p <= 25300 for p in pauses), pauses
    assert len(set(pauses)) > 3


def test_silence_after_data_is_noticed_within_three_seconds():
    b = Bed()
    b.open()
    b.run(10000)
    b.lost = lambda data, dst: data[0] == 0xC5
    at = b.w.now
    b.data()
    assert b.run(5000, lambda: b.way().state == OPENING)
    assert b.w.now - at <= 2400


def test_silence_without_data_is_noticed_at_the_next_ping():
    b = Bed()
    b.open()
    b.run(3000)
    b.l3.dead = True
    at = b.w.now
    assert b.run(40000, lambda: b.way().use is not None and b.way().use.relay.level == 1)
    assert b.w.now - at <= 27000
    b.run(1000)
    assert b.answers(b.b, 2) == 2


def test_one_lost_ping_is_no_death():
    b = Bed()
    b.open()
    b.run(3000)
    lose = [3]

    def lost(data, dst):
        if data[0] == 0xC5 and lose[0]:
            lose[0] -= 1
            return True
        return False

    b.lost = lost
    b.run(60000)
    assert not lose[0] and b.way().state == RELAYED and len(b.events) <= 2


def test_loss_of_a_fifth_costs_no_way():
    b = Bed()
    chance = b.w.chance
    b.lost = lambda data, dst: chance.getrandbits(10) < 205
    b.open()
    for _ in range(40):
        b.data()
        b.run(500)
    assert b.way().state != NONE
    b.lost = lambda data, dst: False
    b.run(7000)
    assert b.answers(b.a, 2) == 2


def test_it_gives_up_after_a_while_and_not_before():
    b = Bed(stand=(False, False))
    at = b.now
    b.open(False)
    took = diff(b.a.ways.of(b.b.short_id).since, at)
    assert 4000 <= took <= 9000, took
    calls = b.l3.seen.count(37)
    assert 6 <= calls <= 8
    b.run(20000)
    assert b.l3.seen.count(37) == calls


def test_a_peer_that_gets_its_place_later_is_found():
    b = Bed(stand=(False, False))
    b.a.ways.open(b.b.id, b.now)
    b.w.touch(b.a)
    b.run(800)
    b.b.ways.stand(True, b.now)
    b.w.touch(b.b)
    assert b.run(5000, lambda: b.way().state == RELAYED)

"""Neighbours by Bluetooth: who gets a slot, what replays and floods are worth, presence."""

from air import home
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby
from l4mesh.prng import XorShift

AT = bytes((10, 1, 2, 3, 4, 5))
EV_NEARBY = 15


class One:
    """A board with a radio address; `to(other)` says its advert to another one's Nearby."""

    def __init__(self, n, slots=50, addr=None):
        self.node = home(n, slots=slots)
        self.near = Nearby(self.node, Voice(self.node, 0xFFFF), slots)
        self.addr = addr or bytes((n & 63, 0, 0, 0, n >> 8, n & 255))

    def say(self):
        return bytes(self.near.voice.advert(self.addr))

    def to(self, other, now, data=None, addr=None, rssi=-60):
        data = data or self.say()
        return other.near.heard(addr or self.addr, 1, rssi, data, len(data), now)

    def knows(self, other, now=0):
        self.node.peers.add(other.node.short_id, bytes(6), 1, 1, now)

    def moves(self):
        """New salt, id, sequence and address."""
        self.near.voice.rotate()
        self.addr = self.addr[:3] + bytes(((self.addr[3] + 1) & 255,)) + self.addr[4:]

    def told(self):
        out = []
        while self.node.events.count:
            out.append(self.node.events.get())
        return out


def test_a_known_one_is_told_with_name_and_endpoint():
    a, b = One(1), One(2)
    a.knows(b)
    data = b.say()
    assert len(a.near) == 0 and not a.near
    assert b.to(a, 1000, data) == 2
    assert len(a.near) == 1 and a.near
    assert b.to(a, 1200, data) == 0  # the same again
    assert b.to(a, 2000) == 1  # the next sequence
    assert a.told() == [(EV_NEARBY, 1, b.node.short_id, b.node.link.local, -60)]
    assert a.near.presence(b.node.short_id, 2500) == ("ble", 500)
    assert len(a.near.table) == 1 and a.near.counts[0] == 3


def test_an_unknown_one_has_a_slot_and_gets_its_name_later():
    a, b = One(1), One(2)
    assert b.to(a, 0) == 2 and a.told() == []
    assert a.near.presence(b.node.short_id, 0) is None
    a.knows(b)
    a.near.poll(1000)
    assert [e[:3] for e in a.told()] == [(EV_NEARBY, 1, b.node.short_id)]
    assert a.near.presence(b.node.short_id, 1500) == ("ble", 1500)


def test_gone_after_thirty_seconds():
    a, b = One(1), One(2)
    a.knows(b)
    b.to(a, 0)
    a.told()
    for t in range(1000, 31000, 1000):
        assert a.near.poll(t) == 1000
    assert a.near.presence(b.node.short_id, 30000)
    a.near.poll(31000)
    assert a.told() == [(EV_NEARBY, 0, b.node.short_id, None, None)]
    assert a.near.presence(b.node.short_id, 31000) is None and len(a.near.table) == 0


def test_poll_says_when_it_wants_to_be_called():
    a = One(1)
    a.near.poll(1000)
    assert a.near.poll(1300) == 700


def test_presence_takes_the_newest_path():
    a, b = One(1), One(2)
    i = a.node.peers.add(b.node.short_id, bytes(6), 1, 1, 0)
    b.to(a, 5000)
    assert a.near.presence(b.node.short_id, 6000) == ("ble", 1000)
    a.node.peers.set_flag(i, 2)
    a.node.peers.heard(i, 5900)
    assert a.near.presence(b.node.short_id, 6000) == ("lan", 100)
    assert a.near.presence(b.node.short_id, 20000) == ("lan", 14100)
    assert a.near.presence(bytes(8), 6000) is None


def test_rotation_is_followed_and_is_one_neighbour():
    a, b = One(1), One(2)
    a.knows(b)
    now = 0
    assert b.to(a, now) == 2
    for _ in range(5):
        now += 15000
        b.moves()
        assert b.to(a, now) == 1
        assert len(a.near.table) == 1 and a.near.table.at_addr(b.addr) >= 0
    assert len(a.told()) == 1


def test_a_new_salt_waits_until_the_old_one_is_quiet():
    a, b = One(1), One(2)
    a.knows(b)
    b.to(a, 0)
    old = b.addr
    b.moves()
    assert b.to(a, 11999) == -7 and a.near.table.at_addr(old) >= 0
    assert b.to(a, 12000) == 1 and a.near.table.at_addr(old) == -1


def test_replays_are_no_sign_of_life():
    a, b = One(1), One(2)
    a.knows(b)
    tape = []
    for t in range(0, 40000, 8000):
        tape.append((b.addr, b.say()))
        assert b.to(a, t, tape[-1][1]) >= 0
    for addr, data in tape[:-1]:  # older sequences, with the address spoofed as well
        assert b.to(a, 33000, data, addr) == -7
    addr, last = tape[-1]
    assert b.to(a, 62000, last, addr) == 0  # 30 s of grace at most
    assert b.to(a, 62001, last, addr) == -7
    for t in range(63000, 94000, 1000):
        assert b.to(a, t, last, addr) == -7
        a.near.poll(t)
    assert len(a.near.table) == 0


def test_a_tape_of_who_has_gone_brings_nobody_back():
    """Not either when its slot was given up: it would come and go as often as it is played."""
    a, b = One(1), One(2)
    a.knows(b)
    b.to(a, 0)
    data = b.say()
    assert b.to(a, 1000, data) == 1
    a.near.poll(60000)
    assert len(a.near.table) == 0
    a.told()
    assert b.to(a, 61000, data) == -7 and a.told() == []
    assert a.near.presence(b.node.short_id, 61000) is None
    assert b.to(a, 62000) == 2  # itself, with a newer sequence


def test_an_old_tape_does_not_displace_who_is_there():
    a, b = One(1), One(2)
    a.knows(b)
    tape = []
    now = 0
    for _ in range(3):
        for _ in range(3):
            now += 5000
            tape.append((b.addr, b.say()))
            b.to(a, now, tape[-1][1])
        now += 15000
        b.moves()
    here = b.addr
    assert b.to(a, now) == 1
    for addr, data in tape:
        now += 1000
        assert b.to(a, now, data, addr) == -7
        if not now % 5000:
            b.to(a, now)
    assert a.near.table.at_addr(here) >= 0 and len(a.near.table) == 1


def test_from_another_address_it_is_nothing():
    a, b = One(1), One(2)
    data = b.say()
    assert b.to(a, 0, data, bytes(6)) == -4
    assert len(a.near.table) == 0


def test_own_adverts_played_back_are_no_neighbour():
    a = One(1)
    data = a.say()
    assert a.to(a, 0, data) == -8 and len(a.near.table) == 0


def test_forged_ones_with_a_good_tag_cost_a_check_and_no_slot():
    a, b = One(1), One(2)
    b.to(a, 0)
    fresh = bytearray(b.say())
    fresh[30] ^= 1
    assert b.to(a, 100, bytes(fresh)) == -6
    other = bytearray(b.say())
    other[16] ^= 8  # another endpoint
    assert b.to(a, 200, bytes(other)) == -6
    assert b.to(a, 300) == 1


def test_mac_checks_are_limited_and_known_ones_have_their_own():
    a, b, s = One(1), One(2), One(3)
    b.to(a, 0)
    codes = []
    for _ in range(300):
        data = bytearray(s.say())
        data[30] ^= 1
        codes.append(s.to(a, 1, bytes(data)))
    assert codes[:39] == [-6] * 39 and codes[-1] == -5
    assert codes.count(-6) <= 41
    assert b.to(a, 2) == 1  # a known one is heard all the same
    assert s.to(a, 3) == -5  # a stranger waits
    assert s.to(a, 1003) == 2  # a second


def test_ten_thousand_random_addresses():
    a, b = One(1), One(2)
    a.knows(b)
    b.to(a, 0)
    rng = XorShift(4)
    real = b.say()
    for k in range(10000):
        addr = bytes((k & 63, 1, 2, 3, k >> 8, k & 255))
        n = 31
        if k % 3 == 0:  # any bytes, as of phones
            n = rng.getrandbits(5)
            data = bytearray([rng.getrandbits(8) for _ in range(n)])
        else:  # shaped as ours
            data = bytearray(real)
            data[10] = k >> 8
            data[11] = k & 255
            if k % 3 == 1:
                data[8] = rng.getrandbits(8)
                data[9] = rng.getrandbits(8)
        assert a.near.heard(addr, 1, -70, data, n, k) < 0
        if k % 5000 == 4999:
            assert b.to(a, k) == 1
    assert len(a.near.table) == 1
    assert a.near.presence(b.node.short_id, 10000) == ("ble", 1)
    assert sum(a.near.counts) == 10003


def test_the_table_is_full_of_members():
    a = One(1, slots=6)
    names = [One(n) for n in range(10, 16)]
    for k, b in enumerate(names):
        a.knows(b)
        assert b.to(a, k) == 2
    late = One(30)
    assert late.to(a, 100) == -9  # nobody knows it, all others are there
    known = One(31)
    a.knows(known)
    assert known.to(a, 101) == -9
    for b in names[1:]:
        b.to(a, 25000)
    a.near.poll(31000)
    assert known.to(a, 31001) == 2 and late.to(a, 31002) == -9


def test_who_has_no_name_makes_room_for_who_has():
    a = One(1, slots=3)
    for n in range(10, 13):
        assert One(n).to(a, n) == 2
    known = One(31)
    a.knows(known)
    assert known.to(a, 100) == 2
    assert len(a.near.table) == 3 and a.near.table.at_addr(One(10).addr) == -1


def test_a_spoofed_name_is_no_use_without_the_group_key():
    a, b = One(1), One(2)
    a.knows(b)
    thief = One(2)  # same short id, another network
    thief.node.keys.set_group(1, bytes(32), 0)
    assert thief.to(a, 0) == -4 and a.told() == []


def test_a_public_address_stays_one_neighbour_when_the_salt_changes():
    a, b = One(1), One(2)
    for k in range(4):  # nobody knows it
        assert b.to(a, k * 20000) == 2 if k == 0 else b.to(a, k * 20000) > 0
        assert len(a.near.table) == 1
        b.near.voice.rotate()


def test_ticks_wrap():
    top = 1 << 30
    a, b = One(1), One(2)
    a.knows(b)
    assert b.to(a, top - 500) == 2
    a.near.poll(top - 100)
    assert b.to(a, 400) == 1
    assert a.near.presence(b.node.short_id, 500) == ("ble", 100)
    a.near.poll(2000)
    assert len(a.near.table) == 1


def test_one_sentence():
    a, b = One(1), One(2)
    b.to(a, 0)
    assert a.near.why() == "1 nearby by Bluetooth, 0 of them known by name."


def test_a_neighbour_on_the_same_lan_is_greeted_there_once():
    a, b = One(1), One(2)
    a.knows(b)
    b.to(a, 0)
    b.to(a, 1000)
    b.to(a, 2000)
    assert a.node.hello.greeted == [(b.node.short_id, b.node.link.local, 1)]
    b.node.link.local = bytes((10, 77, 1, 99, 16, 8))
    b.to(a, 3000)
    assert len(a.node.hello.greeted) == 2
    i = a.node.peers.find(b.node.short_id)
    a.node.peers.set_flag(i, 2)  # heard on the LAN
    b.node.link.local = bytes((10, 77, 1, 98, 16, 8))
    b.to(a, 4000)
    assert len(a.node.hello.greeted) == 2


def test_who_comes_back_to_wifi_is_greeted_then():
    a, b = One(1), One(2)
    lan = b.node.link.local
    b.node.link.local = bytes((0, 0, 0, 0, 16, 8))
    b.to(a, 0)
    a.knows(b)
    a.near.poll(1000)
    assert a.node.hello.greeted == []
    b.node.link.local = bytes((10, 77, 2, 5, 16, 8))  # another LAN
    b.to(a, 2000)
    assert a.node.hello.greeted == []
    b.node.link.local = lan
    b.to(a, 3000)
    assert a.node.hello.greeted == [(b.node.short_id, lan, 1)]
    c = One(3)  # heard first, known later
    c.to(a, 4000)
    a.knows(c)
    for t in range(2000, 9000, 1000):
        a.near.poll(t)
    assert a.node.hello.greeted[1:] == [(c.node.short_id, c.node.link.local, 1)]

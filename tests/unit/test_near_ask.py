"""Whose record is asked for over Bluetooth, by whom, and when again."""

from hashlib import sha256

from l4mesh.near_ask import device, failed, met, wanted
from test_nearby import One


def pair():
    """Two boards of which the first has the lower ident, so it asks first."""
    n = 1
    while True:
        a, b = One(n), One(n + 100)
        if a.near.voice.ident() < b.near.voice.ident():
            return a, b
        n += 1


def test_the_lower_ident_asks_at_once_the_other_after_15_s():
    a, b = pair()
    b.to(a, 0)
    a.to(b, 0)
    assert wanted(a.near, a.node, 0) == 0
    assert wanted(b.near, b.node, 14999) == -1
    assert wanted(b.near, b.node, 15000) == 0
    assert device(a.near, 0) == (1, b.addr)


def test_met_is_not_asked_again_until_its_record_changes():
    a, b = pair()
    b.to(a, 0)
    record = bytes(range(136))
    b.node.own.hash = sha256(record).digest()[:8]
    b.to(a, 500)
    met(a.near, 0, b.node.short_id, record, 0, 1000)
    assert a.told()[0][2] == b.node.short_id
    assert wanted(a.near, a.node, 1000) == wanted(a.near, a.node, 900000) == -1
    b.node.own.hash = bytes(((b.node.own.hash[0] + 1) & 255,)) + bytes(7)
    b.to(a, 901000)
    assert wanted(a.near, a.node, 901000) == 0


def test_what_is_known_from_the_lan_is_not_asked():
    a, b = pair()
    i = a.node.peers.add(b.node.short_id, bytes(6), 1, 1, 0)
    b.to(a, 0)
    assert wanted(a.near, a.node, 0) == 0
    a.node.peers.set_flag(i, 2 | 8)  # on the LAN, record checked
    assert wanted(a.near, a.node, 0) == -1
    a.node.peers.set_flag(i, 2, False)
    assert wanted(a.near, a.node, 0) == 0


def test_what_is_in_the_cache_is_not_asked():
    a, b = pair()
    a.knows(b)
    r = a.node.routes
    r.slab[136 * 3 : 136 * 4] = bytes(range(136))
    b.node.own.hash = sha256(bytes(range(136))).digest()[:8]
    b.to(a, 0)
    r.node_id = lambda i: b.node.id if i == 3 else None
    assert wanted(a.near, a.node, 0) == 0  # not verified
    r.flags[3] = 1
    assert wanted(a.near, a.node, 0) == -1
    r.slab[136 * 3] ^= 1
    assert wanted(a.near, a.node, 0) == 0


def test_failures_wait_longer_and_longer():
    a, b = pair()
    b.to(a, 0)
    now = 0
    waits = []
    for _ in range(9):
        assert wanted(a.near, a.node, now) == 0
        failed(a.near, 0, now)
        start = now
        while wanted(a.near, a.node, now) < 0:
            now += 1000
        waits.append((now - start) // 1000)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 320, 320]


def test_the_longest_waiting_comes_first():
    a, b = pair()
    b.to(a, 0)
    c = One(60)
    while not a.near.voice.ident() < c.near.voice.ident():
        c.near.voice.rotate()
    c.to(a, 100)
    assert wanted(a.near, a.node, 1000) == 0
    failed(a.near, 0, 1000)
    assert wanted(a.near, a.node, 2000) == 1


def test_a_name_that_was_heard_under_an_older_salt_is_one_neighbour():
    a, b = pair()
    b.to(a, 0)
    met(a.near, 0, b.node.short_id, bytes(136), 0, 10)
    b.moves()
    b.to(a, 5000)  # not resolved here, as a's tables do not know it: but the table does
    n = len(a.near.table)
    met(a.near, n - 1, b.node.short_id, bytes(136), 0, 6000)
    assert len(a.near.table) == 1

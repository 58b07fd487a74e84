"""The exchange of two nodes that meet: what each believes, and of whom."""

from hashlib import sha256

from kit import NETWORK, Person, bare_node, count, hmac, tag_key
from l4mesh import meeting
from l4mesh.counters import C_BAD_RECORD, C_BAD_TAG, C_NO_KEY
from l4mesh.meeting import (
    CONNECT,
    FIND,
    MET,
    MTU,
    OVER,
    READ,
    VALUE_LEN,
    WAIT,
    WRITE,
    Meeting,
)
from l4mesh.prng import XorShift
from l4mesh.ticks import MASK, add
from world import GROUP_KEY

START = MASK - 3000
_pair = []


def pair():
    """Two nodes of a network, made once."""
    if not _pair:
        _pair.extend((bare_node(1, now=START), bare_node(2, now=START)))
    return _pair


def begin(now=START):
    a, b = pair()
    return Meeting(a, True, now), Meeting(b, False, now)


def to_read(m, now=START):
    for state in (CONNECT, MTU, FIND):
        assert m.state == state
        m.did(now)
    assert m.state == READ


def exchange(m, n, now=START):
    """All of it; -> what was written and what was answered."""
    to_read(m, now)
    m.read(n.value(), now)
    written = m.out
    n.heard(written, now)
    m.did(now)
    answered = n.out
    m.heard(answered, now)
    return written, answered


def test_both_know_each_other():
    m, n = begin()
    a, b = pair()
    written, answered = exchange(m, n)
    assert m.state == n.state == MET and m.left(START) == n.left(START) == 0
    assert (len(n.value()), len(written), len(answered)) == (VALUE_LEN, 178, 26)
    assert m.theirs == bytes(b.own.record) and n.theirs == bytes(a.own.record)
    assert m.sid == b.short_id and n.sid == a.short_id
    assert m.said == b"\0\0\0\0" + bytes((0, 2, 255, 0)) == n.said and m.out is None
    # Ticks wrap on the way.
    m, n = begin(MASK - 1)
    exchange(m, n, 2)
    assert m.state == n.state == MET


def test_the_tags_by_hand():
    m, n = begin()
    a, b = pair()
    value = n.value()
    written, answered = exchange(m, n)
    key = tag_key(GROUP_KEY[1:])
    nonce_b, nonce_a = value[136:], written[10:26]
    assert written[:2] == b"\x81\x00" and written[26:162] == bytes(a.own.record)
    both = sha256(bytes(b.own.record) + bytes(a.own.record)).digest()
    text = b"l4-meet-v1\x00a" + nonce_b + nonce_a + written[2:10] + both
    assert hmac(key, text)[:16] == written[162:]
    text = b"l4-meet-v1\x00b" + nonce_b + nonce_a + answered[2:10] + both
    assert answered[:2] == b"\x82\x00" and hmac(key, text)[:16] == answered[10:]
    assert len(set((nonce_a, nonce_b))) == 2


def test_a_replayed_record_is_nobody():
    m, n = begin()
    value = n.value()
    written, answered = exchange(m, n)
    a, b = pair()
    # Somebody has all of an older exchange, and says it again to the one and the other.
    m, n = begin()
    to_read(m)
    m.read(value, START)
    m.did(START)
    before = count(a, C_BAD_TAG)
    m.heard(answered, START)
    assert m.state == OVER and "group key" in m.why and count(a, C_BAD_TAG) == before + 1
    assert m.theirs == b""
    before = count(b, C_BAD_TAG)
    n.heard(written, START)
    assert n.state == OVER and count(b, C_BAD_TAG) == before + 1 and n.out == b"\x83\x03\x00"
    # And our own words back to us.
    m, n = begin()
    to_read(m)
    m.read(n.value(), START)
    n.heard(b"\x81" + m.out[1:162] + bytes(16), START)
    assert n.state == OVER
    m.heard(b"\x82\x00" + m.out[2:10] + m.out[162:], START)
    assert m.state == OVER and count(a, C_BAD_TAG) >= 2


def test_another_record_than_the_one_read_is_none():
    """Who passes on an exchange cannot put another record into it."""
    other = Person(9).record()
    m, n = begin()
    to_read(m)
    m.read(other + n.value()[136:], START)
    n.heard(m.out, START)
    assert n.state == OVER  # b knows which record it gave
    m, n = begin()
    to_read(m)
    m.read(n.value(), START)
    n.heard(m.out[:26] + other + m.out[162:], START)
    assert n.state == OVER and n.theirs == b""


def test_records_that_are_none():
    a, b = pair()
    good = begin()[1].value()
    net = bytes((NETWORK[0] ^ 1,)) + NETWORK[1:]
    bad = [
        good[:-1], good + b"x", b"", good[:2] + net + good[6:], b"X" + good[1:],
        bytes(a.own.record) + good[136:],  # our own
    ]  # fmt: skip
    for value in bad:
        m, _ = begin()
        to_read(m)
        before = count(a, C_BAD_RECORD)
        m.read(value, START)
        assert m.state == OVER and m.out is None and count(a, C_BAD_RECORD) == before + 1
    for word in (b"\x81", b"\x82" + bytes(177), b"\x81" + bytes(177), b"\x81" + bytes(200)):
        _, n = begin()
        n.heard(word, START)
        assert n.state == OVER and n.out[0] == 0x83, word
        n.heard(word, START)  # over is over


def test_each_state_has_an_end():
    for state, ms in ((CONNECT, 5000), (MTU, 1500), (FIND, 3000), (READ, 2000), (WAIT, 3000)):
        m, n = begin()
        while m.state < min(state, READ):
            m.did(START)
        if state == WAIT:
            m.read(n.value(), START)
            assert m.state == WRITE and m.left(START) == 3000
            m.did(START)
        assert m.state == state and m.left(START) == ms
        assert m.left(add(START, ms - 1)) == 1 and m.state == state
        assert m.left(add(START, ms)) == 0 and m.state == OVER and m.why.endswith("took too long")
        m.did(START)
        m.heard(b"\x82" + bytes(25), START)
        m.read(n.value(), START)
        assert m.state == OVER and m.out is None
    _, n = begin()
    assert n.left(add(START, 9999)) == 1 and n.left(add(START, 10000)) == 0 and n.state == OVER
    a, b = pair()
    assert Meeting(b, False, START, 500).left(START) == 500


def test_a_link_that_ends_leaves_nothing():
    m, n = begin()
    to_read(m)
    m.read(n.value(), START)
    for x in (m, n):
        x.end("the link is gone")
        assert x.state == OVER and x.why == "the link is gone" and x.theirs == b"" == x._other
        x.end("again")
        assert x.why == "the link is gone"


def test_a_newer_group_key_on_one_side():
    key = sha256(b"the next").digest()
    newer = bare_node(3, now=START)
    newer.keys.set_group(1, key, 0)
    older = bare_node(4, now=START)
    for asks, answers in ((newer, older), (older, newer)):
        m, n = Meeting(asks, True, START), Meeting(answers, False, START)
        to_read(m)
        m.read(n.value(), START)
        n.heard(m.out, START)
        if asks is newer:
            assert n.out == b"\x83\x02\x00" and n.state == WAIT and count(older, C_NO_KEY) == 1
            m.did(START)
            m.heard(n.out, START)
            assert m.state == WRITE
            n.heard(m.out, START)
        m.did(START)
        m.heard(n.out, START)
        assert m.state == n.state == MET
    # After the hour of overlap they have none in common, and say so once.
    newer.keys.expire(60)
    m, n = Meeting(newer, True, START), Meeting(older, False, START)
    to_read(m)
    m.read(n.value(), START)
    word = m.out
    n.heard(word, START)
    m.heard(n.out, START)
    assert m.state == OVER and "refused" in m.why
    n.heard(word, START)
    assert n.state == OVER and n.out == b"\x83\x02\x00"


def test_a_member_of_another_network_with_the_same_name():
    stranger = bare_node(5, now=START)
    stranger.keys._mac = None
    stranger.keys.number = 7
    stranger.keys.set_group(0, sha256(b"not ours").digest(), 0)
    a, _ = pair()
    m, n = Meeting(a, True, START), Meeting(stranger, False, START)
    to_read(m)
    m.read(n.value(), START)
    n.heard(m.out, START)
    assert n.state == OVER
    m.heard(n.out, START)
    assert m.state == OVER


def test_any_bytes():
    chance = XorShift(8)
    for k in range(400):
        m, n = begin()
        to_read(m)
        if k & 1:
            m.read(n.value(), START)
            m.did(START)
        size = (26, 178, 3, 0, 152, 60)[k % 6]
        data = bytearray([chance.getrandbits(8) for _ in range(size)])
        if size and k % 4:
            data[0] = 0x81 + k % 3
        m.heard(bytes(data), START)
        n.heard(bytes(data), START)
        assert m.state != MET and n.state != MET
    assert meeting.OVER == 7

"""What a board advertises: idents, sequence, mode bits, two group keys."""

from air import home
from l4mesh.advert import payload
from l4mesh.near_say import Voice

A = bytes(range(6))


def read(voice, data, addr=A):
    o = payload(data, 31, 0xFFFF)
    assert o == 7
    for codec in voice.coders():
        if codec.tagged(addr, data, o) and codec.good(addr, data, o):
            return codec, data[o + 3 : o + 9], data[o + 15] << 8 | data[o + 16]
    return None


def test_each_advert_has_the_next_sequence():
    node = home(1)
    v = Voice(node, 0xFFFF)
    seqs = [read(v, v.advert(A))[2] for _ in range(5)]
    assert all((seqs[k + 1] - seqs[k]) & 0xFFFF == 1 for k in range(4))
    assert v.said == 5


def test_what_is_said():
    node = home(1)
    slow = [False]
    v = Voice(node, 0xFFFF, lambda: slow[0])
    codec, ident, _ = read(v, v.advert(A))
    assert codec.mode == 2 and codec.endpoint() == node.link.local
    assert codec.first == node.own.hash[0] and ident == v.ident()
    assert ident == v.salt + codec.name(v.salt, node.short_id)
    slow[0] = True
    node.reach.up = True
    node.serve.mode = 1
    assert read(v, v.advert(A))[0].mode == 1 | 4 | 8
    node.link.local = bytes((0, 0, 0, 0, 16, 8))
    assert read(v, v.advert(A))[0].endpoint() == bytes(6)
    node.reach.up = slow[0] = False
    node.uplink = node.reach
    assert read(v, v.advert(A))[0].mode == 1


def test_rotation_changes_all_of_it():
    v = Voice(home(1), 0xFFFF)
    seen = set()
    for _ in range(20):
        v.rotate()
        seen.add(bytes(v.ident()))
    assert len(seen) == 20


def test_others_are_known_by_neighbours_and_records():
    a, b, c = home(1), home(2), home(3)
    v, w = Voice(a, 0xFFFF), Voice(b, 0xFFFF)
    codec = v.coders()[0]
    assert v.who(codec, w.ident()) is None
    a.peers.add(b.short_id, bytes(6), 1, 1, 0)
    assert v.who(codec, w.ident()) == b.short_id
    w.rotate()
    assert v.who(codec, w.ident()) == b.short_id
    u = Voice(c, 0xFFFF)
    a.routes.node_id = lambda i: c.id if i == 7 else None
    assert v.who(codec, u.ident()) == c.short_id


def test_the_key_before_holds_for_an_hour():
    node = home(1)
    v = Voice(node, 0xFFFF)
    old = bytes(v.advert(A))
    v.poll(0)
    node.keys.set_group(1, b"new key of the network, 32 bytes", 0)
    new = bytes(v.advert(A))
    assert len(v.coders()) == 2 and read(v, new) and read(v, old)
    v.poll(1000)
    v.poll(3600000)
    assert read(v, old)
    v.poll(3602000)
    assert len(v.coders()) == 1 and read(v, new) and read(v, old) is None

import kit
from l4mesh import wire
from l4mesh.counters import C_TX, C_TX_FAIL, Counters
from l4mesh.keyring import Keyring
from l4mesh.sender import Sender
from world import NETWORK

A = bytes((10, 77, 1, 5, 16, 8))
ME = b"sender8b"
PEER = b"receiver"
NODE_KEY = bytes([9]) * 32


def make(number=0, link=True):
    keys = Keyring()
    keys.set_group(number, kit.GROUP_BYTES, 0)
    if link:
        keys.set_node_key(NODE_KEY)
    out = kit.Wire(A)
    return Sender(out, keys, Counters(), NETWORK, ME, 5), out


def write(tx, payload, *args, **more):
    o = tx.begin(*args, **more)
    tx.buf[o : o + len(payload)] = payload
    assert tx.send(o + len(payload), A)


def test_a_group_frame_is_the_one_made_by_hand():
    tx, out = make(3)
    for counter in (1, 2, 3):
        write(tx, b"hello world", wire.T_PING, PEER)
        want = kit.frame(wire.T_PING, ME, PEER, counter, b"hello world", 5, number=3)
        assert out.take() == [(want, A)]


def test_destinations():
    tx, out = make()
    write(tx, b"x", wire.T_BYE, wire.ALL)
    write(tx, b"x", wire.T_PING, None)
    assert [f[16:20] for f, _ in out.take()] == [b"\xff\xff\xff\xff", bytes(4)]


def test_link_seal_and_cookie():
    tx, out = make()
    write(tx, b"p" * 20, wire.T_PING, PEER, link=True, cookie=b"cookie88")
    write(tx, b"p" * 40, wire.T_BATCH, PEER, link=True, sealed=True)
    write(tx, b"p" * 40, wire.T_JOIN, None, link=True, sealed=True, cookie=b"cookie88")
    key = {"key": NODE_KEY, "link": True, "epoch": 5}
    assert [f for f, _ in out.take()] == [
        kit.frame(wire.T_PING, ME, PEER, 1, b"p" * 20, cookie=b"cookie88", **key),
        kit.frame(wire.T_BATCH, ME, PEER, 2, b"p" * 40, sealed=True, **key),
        kit.frame(
            wire.T_JOIN,
            ME,
            bytes(4),
            3,
            b"p" * 40,
            sealed=True,
            cookie=b"cookie88",
            clear=16,
            **key,
        ),  # fmt: skip
    ]


def test_a_join_names_its_node_in_clear():
    tx, out = make()
    write(tx, b"0123456789abcdef" + b"secret" * 5, wire.T_JOIN, None, link=True, sealed=True)
    f = out.take()[0][0]
    assert f[28:44] == b"0123456789abcdef" and b"secret" not in f


def test_no_two_frames_have_a_key_stream_in_common():
    tx, out = make()
    seen = set()
    for _ in range(50):
        write(tx, bytes(32), wire.T_BATCH, PEER, link=True, sealed=True)
        seen.add(out.take()[0][0][28:60])
    tx.epoch = 6
    tx.counter = 0
    write(tx, bytes(32), wire.T_BATCH, PEER, link=True, sealed=True)
    seen.add(out.take()[0][0][28:60])
    assert len(seen) == 51


def test_what_the_link_refuses_is_counted():
    tx, out = make()
    out.works = False
    o = tx.begin(wire.T_PING, PEER)
    assert not tx.send(o + 4, A)
    c = tx._count
    assert c.get(C_TX_FAIL) == 1 and c.get(C_TX) == 0


def test_without_a_key_nothing_leaves():
    tx, out = make(link=False)
    for sealed in (False, True):
        o = tx.begin(wire.T_PING, PEER, link=True, sealed=sealed)
        assert tx.close(o + 4) == 0
        assert not tx.send(o + 4, A)
    assert out.take() == []


def test_the_longest_frame_fits():
    tx, out = make()
    write(tx, b"z" * wire.MAX_PAYLOAD, wire.T_INFO, PEER)
    assert len(out.take()[0][0]) == wire.MAX_FRAME == 1200

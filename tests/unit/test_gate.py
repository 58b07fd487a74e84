import kit
from kit import Person
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.cookie import Cookies
from l4mesh.counters import Counters
from l4mesh.gate import Gate
from l4mesh.keyring import Keyring
from l4mesh.limits import Limits
from l4mesh.peers import O_EPOCH, O_TOP, P_EPOCH, P_PROVEN, SLOT, Peers
from world import NETWORK, Entropy

ME = b"the gate has one"


class Bed:
    """A gate with all that it needs, and one known neighbour, `p`, heard with counter 1000."""

    def __init__(self, limits=None, known=True, spare=24):
        self.p = Person(1)
        self.peers = Peers(30, spare)
        self.keys = Keyring()
        self.keys.set_group(0, kit.GROUP_BYTES, 0)
        self.keys.set_node_key(self.p.key)
        self.count = Counters()
        self.cookies = Cookies(Entropy(1), 0)
        table = kit.ROOMY if limits is None else limits
        limits = Limits(table, 30, Entropy(2))
        self.g = Gate(ME, NETWORK, self.peers, self.keys, limits, self.cookies, self.count)
        self.slot = -1
        if known:
            self.p.counter = 999
            self.slot = self.give(self.p.ping(ME))
            assert self.slot >= 0
            self.peers.set_flag(self.slot, P_EPOCH)

    def give(self, f, addr=None, n=None, now=0):
        return self.g.check(f, len(f) if n is None else n, addr or self.p.addr, now)

    def refused(self, f, why, **more):
        """It is refused, counted as `why`, and leaves no trace in the table."""
        before = bytes(self.peers.buf), len(self.peers), self.count.get(why)
        assert self.give(f, **more) == -1
        assert self.count.get(why) == before[2] + 1, self.count.items()
        assert (bytes(self.peers.buf), len(self.peers)) == before[:2]


def test_a_good_frame_is_taken_apart():
    b = Bed(known=False)
    f = b.p.ping(ME)
    slot = b.give(f)
    g = b.g
    assert slot >= 0 and b.peers.short_id(slot) == b.p.id[:8] and b.peers.addr(slot) == b.p.addr
    assert (g.kind, g.off, g.end, g.linked, g.sealed, g.ahead) == (6, 28, 45, False, False, False)
    assert b.give(b.p.ping(ME, cookie=b"cookie88")) == slot
    assert (g.off, g.end) == (36, 53)
    assert b.give(b.p.ping(ME, link=True, key=b.p.key)) == slot and g.linked


def test_short_and_long_datagrams():
    b = Bed()
    f = b.p.ping(ME)
    for n in (0, 1, 27, 28, 29, 43, 44, 60):
        b.refused(f[:n], C.C_BAD_LEN)
    for n in (1201, 1472, 1473, 65507):
        b.refused(f + bytes(n - len(f)), C.C_BAD_LEN)
    assert b.give(f) == b.slot
    b.refused(b.p.ping(ME, cookie=b"")[:44], C.C_BAD_LEN)
    # Long enough for a PING, but not for one with a cookie.
    b.refused(b.p.frame(wire.T_PING, ME, bytes(9), cookie=b"cookie88"), C.C_BAD_LEN)


def test_only_n_bytes_of_the_buffer_count():
    b = Bed()
    f = b.p.ping(ME)
    buf = bytearray(2000)
    buf[: len(f)] = f
    assert b.give(buf, n=len(f)) == b.slot
    b.refused(buf, C.C_BAD_LEN)


def test_version_network_destination():
    b = Bed()
    f = bytearray(b.p.ping(ME))
    f[0] = 0xC5
    b.refused(f, C.C_BAD_VERSION)
    b.refused(b.p.ping(ME, net=bytes(4)), C.C_BAD_NET)
    b.refused(b.p.ping(b"another node"), C.C_BAD_DST)
    b.refused(b.p.ping(ME[:2] + b"xx"), C.C_BAD_DST)
    b.refused(b.p.ping(b"xx" + ME[2:]), C.C_BAD_DST)
    assert b.give(b.p.ping(wire.ANYONE)) == b.slot


def test_only_hello_and_bye_go_to_all():
    b = Bed()
    for kind in range(1, 17):
        f = b.p.frame(kind, wire.ALL, bytes(160))
        if kind in (wire.T_HELLO, wire.T_BYE):
            assert b.give(f) == b.slot
        else:
            b.refused(f, C.C_BAD_DST)


def test_kinds_and_flags_that_do_not_exist():
    b = Bed()
    for kind in (0, 60, 200, 255):
        b.refused(b.p.frame(kind, ME, bytes(200)), C.C_BAD_PARSE)
    for flags in (2, 8, 16, 0x80, 6):  # sealed without the node key, and unknown bits
        f = bytearray(b.p.ping(ME))
        f[2] = flags
        b.refused(f, C.C_BAD_PARSE)


def test_epoch_and_counter_are_thirty_bits():
    b = Bed()
    b.refused(b.p.ping(ME, epoch=0x40000000), C.C_BAD_PARSE)
    for counter in (0, 0x40000000, 0xFFFFFFFF):
        b.refused(kit.frame(wire.T_PING, b.p.id, ME, counter, bytes(17)), C.C_BAD_PARSE)


def test_every_flipped_bit_is_seen():
    b = Bed()
    f = b.p.ping(ME)
    for bit in range(8 * len(f)):
        bad = bytearray(f)
        bad[bit >> 3] ^= 1 << (bit & 7)
        before = bytes(b.peers.buf), len(b.peers)
        assert b.give(bad) == -1, bit
        assert (bytes(b.peers.buf), len(b.peers)) == before
    assert b.give(f) == b.slot


def test_tags():
    b = Bed()
    f = b.p.ping(ME)
    b.refused(f[:-1], C.C_BAD_LEN)
    b.refused(b.p.frame(wire.T_PING, ME, bytes(20))[:-1], C.C_BAD_TAG)
    b.refused(f[:-16] + bytes(16), C.C_BAD_TAG)
    b.refused(f[:-16] + b.p.ping(b"another node")[-16:], C.C_BAD_TAG)
    b.refused(b.p.ping(ME, number=1), C.C_NO_KEY)
    b.keys.set_group(1, bytes(32), 0)
    b.refused(b.p.ping(ME, number=1), C.C_BAD_TAG)  # the old key under the new number
    assert b.give(b.p.ping(ME, number=0)) == b.slot  # the old one, within the hour
    b.keys.expire(60)
    b.refused(b.p.ping(ME, number=0), C.C_NO_KEY)
    b.refused(b.p.ping(ME, link=True, key=kit.GROUP_BYTES), C.C_BAD_TAG)


def test_without_a_node_key_no_linked_frames():
    b = Bed()
    b.keys = b.g._keys = Keyring()
    b.keys.set_group(0, kit.GROUP_BYTES, 0)
    b.refused(b.p.ping(ME, link=True, key=b.p.key), C.C_NO_KEY)


def test_replays():
    b = Bed()
    frames = [b.p.ping(ME) for _ in range(66)]
    last = frames[-1]
    assert b.give(frames[0]) == b.slot  # 65 back
    assert b.give(last) == b.slot
    b.refused(last, C.C_REPLAY)
    b.refused(frames[0], C.C_REPLAY)  # 65 back
    b.refused(frames[1], C.C_REPLAY)  # 64 back: never seen, but below the window
    for f in (frames[2], frames[40], frames[30]):  # 63 back, out of order
        assert b.give(f) == b.slot
        b.refused(f, C.C_REPLAY)


def test_a_far_counter_with_a_bad_tag_moves_nothing():
    b = Bed()
    b.refused(kit.frame(wire.T_PING, b.p.id, ME, 60000, bytes(17), key=bytes(32)), C.C_BAD_TAG)
    assert b.give(b.p.ping(ME)) == b.slot


def test_our_own_echo_is_dropped():
    b = Bed()
    before = bytes(b.peers.buf)
    assert b.give(kit.frame(wire.T_HELLO, ME, wire.ALL, 5, bytes(15))) == -1
    assert bytes(b.peers.buf) == before and b.g.dare == -1


def test_a_lower_epoch_is_dropped():
    b = Bed()
    b.p.epoch = 2
    b.peers.restart(b.slot, 2, 0)
    b.refused(b.p.ping(ME, epoch=1), C.C_EPOCH_OLD)
    b.refused(b.p.hello(epoch=1), C.C_EPOCH_OLD)
    b.refused(b.p.ping(ME, epoch=1, link=True, key=b.p.key), C.C_EPOCH_OLD)
    assert b.give(b.p.ping(ME)) == b.slot


def test_a_higher_epoch_moves_nothing_by_itself():
    b = Bed()
    before = bytes(b.peers.buf)
    for f in (b.p.hello(epoch=2), b.p.frame(wire.T_ANSWER, ME, bytes(14), epoch=2),
              b.p.frame(wire.T_COOKIE, ME, bytes(12), epoch=2)):  # fmt: skip
        assert b.give(f) == b.slot and b.g.ahead
    for kind in (wire.T_PING, wire.T_QUERY, wire.T_PONG, wire.T_BYE, wire.T_INFO_REQ):
        b.refused(b.p.frame(kind, ME, bytes(30), epoch=2), C.C_EPOCH_AHEAD)
    assert bytes(b.peers.buf) == before
    assert b.give(b.p.ping(ME)) == b.slot and not b.g.ahead


def test_the_node_key_moves_the_epoch():
    b = Bed()
    assert b.give(b.p.ping(ME, epoch=4, link=True, key=b.p.key)) == b.slot
    assert not b.g.ahead
    assert b.peers.get30(b.slot, O_EPOCH) == 4 and b.peers.get30(b.slot, O_TOP) == b.p.counter
    b.refused(b.p.ping(ME, epoch=3, link=True, key=b.p.key), C.C_EPOCH_OLD)


def test_a_stale_join_is_shown_to_a_tier():
    b = Bed()
    b.peers.restart(b.slot, 9, 0)
    before = bytes(b.peers.buf)
    f = b.p.frame(wire.T_JOIN, ME, bytes(158), epoch=3, link=True, key=b.p.key)
    assert b.give(f) == b.slot and b.g.stale and bytes(b.peers.buf) == before
    b.refused(b.p.frame(wire.T_JOIN, ME, bytes(158), epoch=3), C.C_EPOCH_OLD)


def test_a_first_epoch_is_only_a_claim():
    """A member that speaks first in another's name, with a far epoch, locks nobody out."""
    b = Bed(known=False)
    slot = b.give(b.p.ping(ME, epoch=0x3FFFFFFF))
    assert slot >= 0 and not b.peers.flags(slot) & P_EPOCH
    assert b.give(b.p.hello(epoch=1)) == slot and b.g.ahead
    assert b.give(b.p.ping(ME, epoch=1)) == -1  # until its record has come
    assert b.give(b.p.ping(ME, epoch=1, link=True, key=b.p.key)) == slot
    assert b.peers.get30(slot, O_EPOCH) == 1 and b.peers.flags(slot) & P_EPOCH
    b.refused(b.p.hello(epoch=0), C.C_EPOCH_OLD)


def test_a_jump_needs_a_cookie():
    b = Bed()
    b.p.counter += 65537
    f = b.p.ping(ME)
    top = b.peers.get30(b.slot, O_TOP)
    assert b.give(f) == -1 and b.g.dare == b.slot
    assert b.peers.get30(b.slot, O_TOP) == top
    f = b.p.ping(ME, cookie=b"badcooki")
    assert b.give(f) == -1 and b.g.dare == b.slot
    f = b.p.ping(ME, cookie=b.cookies.make(b.p.addr, b.p.id[:8]))
    assert b.give(f) == b.slot and b.g.dare == -1
    assert b.peers.get30(b.slot, O_TOP) == b.p.counter
    b.refused(f, C.C_REPLAY)


def test_only_who_asks_is_asked_back():
    """Else two nodes that lost count would send each other cookies for ever."""
    b = Bed()
    b.p.counter += 70000
    for kind in range(1, 17):
        dst = wire.ALL if kind in (wire.T_HELLO, wire.T_BYE) else ME
        assert b.give(b.p.frame(kind, dst, bytes(160))) == -1
        asks = kind in (wire.T_QUERY, wire.T_PING, wire.T_JOIN, wire.T_INFO_REQ)
        assert (b.g.dare >= 0) == asks, kind


def test_up_to_a_jump_no_cookie():
    b = Bed()
    b.p.counter += 65535
    assert b.give(b.p.ping(ME)) == b.slot


def test_proven():
    b = Bed()
    q, p = Person(2, "10.77.1.9:4104"), b.p
    cookie = b.cookies.make(p.addr, p.id[:8])
    f = p.ping(ME)
    assert b.give(f) == b.slot and not b.g.proven(b.slot, f, p.addr)
    f = p.ping(ME, cookie=b.cookies.make(q.addr, p.id[:8]))
    assert b.give(f) == b.slot and not b.g.proven(b.slot, f, p.addr)
    assert b.count.get(C.C_COOKIE_BAD) == 1
    f = p.ping(ME, cookie=cookie)
    assert b.give(f) == b.slot and b.g.proven(b.slot, f, p.addr)
    f = p.ping(ME)
    assert b.give(f) == b.slot and b.g.proven(b.slot, f, p.addr)
    assert b.peers.flags(b.slot) & P_PROVEN
    # From another address it is not proven, whatever it was before.
    f = p.ping(ME, cookie=cookie)
    assert b.give(f, addr=q.addr) == b.slot and not b.g.proven(b.slot, f, q.addr)
    f = p.ping(ME, cookie=b.cookies.make(q.addr, p.id[:8]))
    assert b.give(f, addr=q.addr) == b.slot and b.g.proven(b.slot, f, q.addr)
    assert b.peers.addr(b.slot) == q.addr


def test_a_flood_from_strangers_does_not_silence_a_neighbour():
    b = Bed(limits={})
    heard = 0
    b.p.counter = 5000
    bad = bytearray(b.p.ping(ME))  # in the neighbour's name, with a counter that could be
    bad[50] ^= 1
    b.p.counter = 1000
    for ms in range(10000):
        b.give(bad, addr=bytes((203, 0, ms >> 8, ms & 255, 16, 8)), now=ms)
        if ms % 500 == 0:
            heard += b.give(b.p.ping(ME), now=ms) >= 0
    assert heard == 20
    assert b.count.get(C.C_LIMITED) > 9000


def test_a_full_table_refuses_and_counts():
    b = Bed(known=False, spare=1)
    for n in range(30):
        o = n * SLOT
        b.peers.buf[o : o + 8] = b"full" + bytes((0, 0, 0, n))
        b.peers.set_flag(n, P_PROVEN)
        b.peers.set16(n, 38, 60)
    b.refused(b.p.ping(ME), C.C_LIMITED)

"""The 31-byte advertisement: golden bytes, what is masked, and what strangers send."""

from binascii import unhexlify

from l4mesh.advert import Advert, payload
from l4mesh.keys import node_id
from l4mesh.prng import XorShift

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
COMPANY = 0xFFFF


def load(name):
    out = {}
    with open(HERE + "/../golden/" + name + ".hex") as f:
        for line in f:
            key, _, value = line.rstrip("\n").partition(" ")
            out[key] = unhexlify(value)
    return out


K = load("keys")
G = load("advert")
ID = node_id(K["public"])
LAN = bytes((192, 168, 1, 23, 16, 8))


def made(seq, mode, endpoint, company=COMPANY, key=None, addr=None):
    a = Advert(key or K["group"], company)
    out = bytearray(31)
    ident = G["salt"] + a.name(G["salt"], ID[:8])
    a.pack(out, addr or G["address"], ident, seq, mode, endpoint, 0xA7)
    return bytes(out)


def test_golden():
    assert made(0x0102, 2, LAN) == G["standard"]
    assert made(0xFFFF, 5, bytes(6)) == G["offline"]
    assert made(1, 11, LAN, 0x02E5) == G["company"]


def test_what_was_packed_is_read():
    a = Advert(K["group"])
    for name, mode, endpoint in (("standard", 2, LAN), ("offline", 5, bytes(6))):
        b = G[name]
        o = payload(b, 31, COMPANY)
        assert o == 7
        assert a.tagged(G["address"], b, o) and a.good(G["address"], b, o)
        assert (a.mode, a.endpoint(), a.first) == (mode, endpoint, 0xA7)
        assert b[o + 3 : o + 5] == G["salt"]
        assert b[o + 5 : o + 9] == a.name(G["salt"], ID[:8])


def test_another_company_is_not_ours():
    b = G["company"]
    assert payload(b, 31, COMPANY) == -1
    assert payload(b, 31, 0x02E5) == 7


def test_every_changed_bit_is_seen():
    a = Advert(K["group"])
    for i in range(7, 31):
        for bit in range(8):
            b = bytearray(G["standard"])
            b[i] ^= 1 << bit
            if payload(b, 31, COMPANY) < 0:
                assert i == 7 and bit > 3  # the version
                continue
            assert not (a.tagged(G["address"], b, 7) and a.good(G["address"], b, 7)), (i, bit)


def test_from_another_address_it_is_worth_nothing():
    a = Advert(K["group"])
    for i in range(6):
        addr = bytearray(G["address"])
        addr[i] ^= 1
        assert not a.good(addr, G["standard"], 7)
        assert not a.tagged(addr, G["standard"], 7)  # an accident of 1 in 65536, not met here


def test_another_network_is_rejected_by_the_tag():
    a = Advert(bytes(32))
    assert not a.tagged(G["address"], G["standard"], 7)
    assert not a.good(G["address"], G["standard"], 7)


def test_nothing_of_a_node_is_the_same_under_another_salt_and_address():
    a = Advert(K["group"])
    out = bytearray(31)
    same = [0] * 24
    rng = XorShift(5)
    for _ in range(40):
        salt = bytes((rng.getrandbits(8), rng.getrandbits(8)))
        addr = bytes([rng.getrandbits(8) for _ in range(6)])
        a.pack(out, addr, salt + a.name(salt, ID[:8]), rng.getrandbits(16), 2, LAN, 0xA7)
        for i in range(24):
            same[i] += out[7 + i] == G["standard"][7 + i]
    # By chance a byte is the same once in 256; the first has its version and 4 random bits.
    assert max(same[1:]) <= 3 and same[0] < 15, same


def test_other_sequence_other_masks():
    x, y = made(7, 2, LAN), made(8, 2, LAN)
    assert x[16:22] != y[16:22] and x[8:10] != y[8:10] and x[25:] != y[25:]


def test_names_depend_on_all_of_it():
    a, b = Advert(K["group"]), Advert(bytes(32))
    names = [a.name(b"\0\1", ID[:8]), a.name(b"\0\2", ID[:8]), a.name(b"\0\1", K["peer"][:8]),
             b.name(b"\0\1", ID[:8])]  # fmt: skip
    assert len(set(names)) == 4 and all(len(n) == 4 for n in names)


def test_malformed_structures_are_told_by_a_code():
    ours = G["standard"]
    assert payload(b"", 0) == -1
    assert payload(b"\x05", 1) == -1
    assert payload(b"\x05\xff", 2) == -2  # longer than what came
    assert payload(ours[:30], 30) == -2
    assert payload(b"\0" * 31, 31) == -1
    assert payload(b"\xff" * 31, 31) == -2
    assert payload(ours[3:], 28) == 4  # without flags it is found as well
    assert payload(ours[3:] + ours[:3], 31) == 4
    other = bytearray(ours)
    other[7] = 0x20 | other[7] & 15
    assert payload(other, 31) == -3
    short = b"\x02\x01\x06\x1a\xff" + ours[5:30]
    assert payload(short, 30) == -1  # a byte short, as its length says


def test_random_bytes_never_raise_and_never_pass():
    a = Advert(K["group"])
    rng = XorShift(77)
    shaped = 0
    for k in range(3000):
        n = rng.getrandbits(5)
        b = bytearray([rng.getrandbits(8) for _ in range(n)])
        if k & 1:  # as ours, as far as it goes
            for i in range(min(n, 1 + rng.getrandbits(3))):
                b[i] = G["standard"][i]
        o = payload(b, n, COMPANY)
        if o >= 0:
            shaped += 1
            assert o + 24 <= n
            addr = bytes([rng.getrandbits(8) for _ in range(6)])
            assert not (a.tagged(addr, b, o) and a.good(addr, b, o))
    assert shaped > 5


def test_local_misuse_is_told():
    a = Advert(K["group"])
    for args in ((bytearray(30), bytes(6), bytes(6)), (bytearray(31), bytes(5), bytes(6)),
                 (bytearray(31), bytes(6), bytes(7))):  # fmt: skip
        try:
            a.pack(args[0], args[1], args[2], 1, 2, LAN, 0)
            raise AssertionError("taken")
        except ValueError as e:
            assert "31 bytes" in str(e)
    try:
        Advert(K["group"], 70000)
        raise AssertionError("taken")
    except ValueError as e:
        assert "ble_company" in str(e)

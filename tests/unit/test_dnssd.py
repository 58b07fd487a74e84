"""DNS-SD answers: those of a real responder, and whatever else may come."""

from binascii import unhexlify

from l4mesh.dnssd import SERVICE, instances, lower, parse, question, subtype
from l4mesh.prng import XorShift

# As python-zeroconf 0.154 answered a question with the number 0x1234.
REAL = unhexlify(
    "123484000001000100000004075f6c346d657368045f756470056c6f63616c00000c0001c00c000c00010000"
    "0078000e0b4c34206162636431323334c00cc030002100010000007800140000000010080b6c342d61626364"
    "31323334c019c050000100010000007800040a000007c050002f0001000000780005c050000140c030001000"
    "0100000078002e09747874766572733d312369643d6162616261626162616261626162616261626162616261"
    "626162616261626162"
)


def name(*labels):
    return b"".join([bytes((len(x),)) + x for x in labels]) + b"\0"


def rr(owner, kind, value, ttl=120, size=None):
    n = len(value) if size is None else size
    return (owner + bytes((kind >> 8, kind & 255, 0x80, 1)) + ttl.to_bytes(4, "big")
            + bytes((n >> 8, n & 255)) + value)  # fmt: skip


def answer(*records, ident=0x1234, flags=0x8400, questions=b"", qd=0, count=None):
    n = len(records) if count is None else count
    head = ident.to_bytes(2, "big") + flags.to_bytes(2, "big") + qd.to_bytes(2, "big")
    return head + n.to_bytes(2, "big") + bytes(4) + questions + b"".join(records)


OWN = name(*SERVICE)
WHO = name(b"L4 a", *SERVICE)
HOST = name(b"l4-a", b"local")
GOOD = (
    rr(OWN, 12, WHO), rr(WHO, 33, bytes(4) + b"\x10\x08" + HOST), rr(HOST, 1, b"\x0a\0\0\x07"),
    rr(WHO, 16, b"\x09txtvers=1\x05mode=\x04flag"),
)  # fmt: skip


def found(data, ident=0x1234):
    got = parse(data, len(data), ident)
    return None if got is None else instances(got, SERVICE)


def test_the_question():
    b = bytearray(96)
    n = question(b, 0xABCD, subtype(b"passive"))
    want = b"\xab\xcd\0\0\0\1\0\0\0\0\0\0" + name(b"_passive", b"_sub", *SERVICE) + b"\0\x0c\x80\1"
    assert bytes(b[:n]) == want


def test_what_a_real_responder_answers():
    label, host, at, texts = found(REAL)[0]
    assert label == b"L4 abcd1234" and at == b"\x0a\0\0\x07\x10\x08"
    assert host == (b"l4-abcd1234", b"local")
    assert texts == {b"txtvers": b"1", b"id": b"ab" * 16}


def test_records_in_any_order_and_case():
    for records in (GOOD, tuple(reversed(GOOD))):
        want = [(b"L4 a", (b"l4-a", b"local"), b"\x0a\0\0\x07\x10\x08",
                 {b"txtvers": b"1", b"mode": b"", b"flag": b""})]  # fmt: skip
        assert found(answer(*records)) == want
    upper = rr(name(b"_L4MESH", b"_UDP", b"Local"), 12, WHO)
    assert len(found(answer(upper, *GOOD[1:]))) == 1
    assert lower((b"L4 \xc3\x84", b"LOCAL")) == (b"l4 \xc3\x84", b"local")


def test_what_is_missing_makes_no_instance():
    for k in range(3):
        assert found(answer(*(GOOD[:k] + GOOD[k + 1 :]))) == []
    assert len(found(answer(*GOOD[:3]))) == 1  # TXT may be
    assert found(answer(rr(name(b"_http", b"_tcp", b"local"), 12, WHO), *GOOD[1:])) == []
    assert found(answer(rr(OWN, 12, WHO, ttl=0), *GOOD[1:])) == []  # a goodbye


def test_other_numbers_questions_and_errors_are_no_answer():
    good = answer(*GOOD)
    assert found(good, 0x1235) is None and found(b"") is None and found(good[:11]) is None
    for flags in (0x0000, 0x0400, 0x8403, 0x8405, 0xA400, 0xF800):
        assert found(answer(*GOOD, flags=flags)) is None
    assert len(found(answer(*GOOD, flags=0x8700))) == 1  # truncated: what there is counts


def test_pointers_lead_back_only():
    def ptr(at):
        return bytes((0xC0 | at >> 8, at & 255))

    for bad in (ptr(12), ptr(13), ptr(0), ptr(11), ptr(200), ptr(0x3FFF), b"\x01a" + ptr(12)):
        assert found(answer(rr(bad, 12, WHO), *GOOD[1:])) == []
    # A chain of pointers that goes on and on: each leads back, and still it ends.
    chain = name(b"x")
    at = 12
    records = [rr(chain, 99, b"")]
    for _ in range(30):
        size = len(records[-1])
        records.append(rr(ptr(at), 99, b""))
        at += size
    parse(answer(*records), len(answer(*records)), 0x1234)
    # A pointer into the middle of itself, by its rdata.
    assert found(answer(rr(OWN, 12, ptr(12 + len(OWN) + 10)), *GOOD[1:])) == []


def test_names_that_are_too_long():
    long = b"".join([b"\x3f" + b"a" * 63] * 5) + b"\0"
    many = b"\x01a" * 100 + b"\0"
    for bad in (long, many, b"\x40" + b"a" * 64 + b"\0", b"\x80\0", b"\x3fabc"):
        assert found(answer(rr(bad, 12, WHO), *GOOD)) == []
        # The same as the last record: what came before it counts.
        assert len(found(answer(*GOOD, rr(bad, 12, WHO)))) == 1


def test_lengths_that_are_not_true():
    for size in (0, 1, 5, 9, 300, 65535):
        found(answer(rr(WHO, 33, bytes(4) + b"\x10\x08" + HOST, size=size), *GOOD))
        found(answer(*GOOD, rr(HOST, 1, b"\x0a\0\0\x08", size=size)))
        found(answer(*GOOD, rr(WHO, 16, b"\x09txtvers=1", size=size)))
    assert found(answer(*GOOD[:3], rr(WHO, 16, b"\xfftxt")))[0][3] == {}
    assert found(answer(*GOOD, count=65535)) == found(answer(*GOOD))
    assert found(answer(*GOOD, qd=65535)) == []


def test_no_more_than_48_records():
    other = rr(name(b"x"), 99, b"")
    assert len(found(answer(*([other] * 44 + list(GOOD))))) == 1
    assert found(answer(*([other] * 48 + list(GOOD)))) == []


def test_any_cut_and_any_flipped_byte():
    for n in range(len(REAL)):
        found(REAL[:n])
    rng = XorShift(5)
    for _ in range(4000):
        b = bytearray(REAL)
        for _ in range(1 + rng.getrandbits(2)):
            b[rng.getrandbits(16) % len(b)] = rng.getrandbits(8)
        got = found(b)
        assert got is None or len(got) <= 48


def test_random_bytes_behind_a_good_head():
    rng = XorShift(9)
    for _ in range(1500):
        n = rng.getrandbits(7)
        body = bytes(
            [rng.getrandbits(8) & (0xFF if rng.getrandbits(1) else 0xC3) for _ in range(n)]
        )
        b = answer(body, qd=rng.getrandbits(1), count=rng.getrandbits(6))
        parse(b, len(b), 0x1234)

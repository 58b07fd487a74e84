"""STUN messages: the vectors of RFC 5769, answers byte by byte, malformed input of every kind."""

from binascii import crc32, unhexlify

from l4mesh import stun
from l4mesh.prng import XorShift
from l4mesh.stun import Message

# RFC 5769 2.1 to 2.4: request; IPv4 and IPv6 responses; a request with long-term credentials.
REQUEST = unhexlify(
    b"000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e"
    b"0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781e"
    b"f2b5b2d3f249c1b571a280280004e57a3bcf"
)
IPV4 = unhexlify(
    b"0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e1"
    b"12a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
IPV6 = unhexlify(
    b"010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a14701"
    b"13a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb"
    b"0b4c"
)
LONG_TERM = unhexlify(
    b"000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b9000000"
    b"15001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72"
    b"670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
ID = b"twelve bytes"
COOKIE = b"\x21\x12\xa4\x42"
ADDR = bytes((192, 0, 2, 1, 0x80, 0x55))  # 192.0.2.1:32853, as in the RFC


def b2(v):
    return bytes((v >> 8, v & 255))


def attribute(kind, value, size=None):
    size = len(value) if size is None else size
    return b2(kind) + b2(size) + value + bytes(-len(value) % 4)


def message(kind=1, body=b"", cookie=COOKIE, mark=False):
    head = b2(kind) + b2(len(body) + (8 if mark else 0)) + cookie + ID
    m = head + body
    return m + attribute(0x8028, (crc32(m) ^ 0x5354554E).to_bytes(4, "big")) if mark else m


def answer(data, addr=ADDR):
    """The answer as bytes; b"" for none. Never more than twice what asked for it."""
    m = Message()
    out = bytearray(64)
    n = m.answer(data, addr, out) if m.read(data, len(data)) else 0
    assert n <= 2 * len(data)
    return bytes(out[:n])


def read(data):
    m = Message()
    return m if m.read(data, len(data)) else None


def test_the_request_of_rfc_5769():
    m = read(REQUEST)
    assert (m.kind, m.old, m.marked) == (1, False, True)
    # PRIORITY belongs to ICE, and a server must say so; credentials are none of our business.
    assert bytes(m.unknown) == b"\x00\x24"
    a = answer(REQUEST)
    assert a[:20] == b"\x01\x11\x00\x18" + REQUEST[4:20]
    assert a[20:36] == unhexlify(b"0009000400000414000a000200240000")
    assert a == a[:36] + attribute(0x8028, (crc32(a[:36]) ^ 0x5354554E).to_bytes(4, "big"))
    assert len(a) == 44


def test_the_answers_of_rfc_5769():
    m = read(IPV4)
    assert (m.kind, m.marked, m.mapped, m.code, m.unknown) == (0x101, True, ADDR, 0, b"")
    m = read(IPV6)
    assert (m.kind, m.marked, m.mapped) == (0x101, True, None)  # nothing for an IPv4 node
    m = read(LONG_TERM)
    assert (m.kind, m.marked, m.unknown) == (1, False, b"")


def test_credentials_are_passed_over():
    a = answer(LONG_TERM)
    assert a == b"\x01\x01\x00\x0c" + LONG_TERM[4:20] + unhexlify(b"002000080001a147e112a643")


def test_twenty_bytes_are_answered_by_thirty_two():
    plain = message()
    assert len(plain) == 20
    a = answer(plain)
    assert a == b"\x01\x01\x00\x0c" + COOKIE + ID + unhexlify(b"002000080001a147e112a643")
    assert read(a).mapped == ADDR


def test_a_fingerprint_is_answered_by_one():
    a = answer(message(mark=True))
    assert len(a) == 40 and a[:4] == b"\x01\x01\x00\x14"
    assert a[32:36] == b"\x80\x28\x00\x04"
    assert a[36:] == (crc32(a[:32]) ^ 0x5354554E).to_bytes(4, "big")
    m = read(a)
    assert m.marked and m.mapped == ADDR


def test_a_wrong_fingerprint_gets_no_word():
    good = message(mark=True)
    for i in range(len(good)):
        for bit in (1, 128):
            bad = bytearray(good)
            bad[i] ^= bit
            if i in (4, 5, 6, 7) or i in (20, 21):
                # Without the cookie it is a message of before FINGERPRINT; of another type it
                # is another attribute.
                continue
            assert answer(bytes(bad)) == b"", i
    body = attribute(0x8028, b"1234") + attribute(0x8022, b"x")  # and it has to be the last
    assert answer(message(body=body)) == b""
    assert answer(message(body=attribute(0x8028, b"12345678"))) == b""
    assert answer(message(body=attribute(0x8028, b""))) == b""


def test_unknown_attributes_are_named():
    a = answer(message(body=attribute(0x0003, bytes(4))))
    assert a == b"\x01\x11\x00\x10" + COOKIE + ID + unhexlify(b"0009000400000414000a000200030000")
    m = read(a)
    assert (m.kind, m.code, m.mapped) == (0x111, 420, None)
    body = attribute(0x0024, b"1234") + attribute(0x7FFF, b"") + attribute(0x0024, b"1")
    a = answer(message(body=body, mark=True))
    assert a[28:36] == unhexlify(b"000a000400247fff") and len(a) == 44 and read(a).marked
    # Above 0x8000 they may be passed over.
    assert len(answer(message(body=attribute(0x8022, b"a client") + attribute(0xFFFF, b"")))) == 32


def test_at_most_eight_are_named_and_sixteen_attributes_taken():
    body = b"".join(attribute(0x100 + i, b"") for i in range(16))
    a = answer(message(body=body))
    assert (
        len(a) == 48
        and a[28:32] == b"\x00\x0a\x00\x10"
        and a[32:] == b"".join(b2(0x100 + i) for i in range(8))
    )
    assert answer(message(body=body + attribute(0x8022, b""))) == b""


def test_what_follows_an_integrity_does_not_count():
    for kind, size in ((0x0008, 20), (0x001C, 32)):
        body = attribute(kind, bytes(size)) + attribute(0x0003, bytes(4))
        assert len(answer(message(body=body))) == 32
        assert len(answer(message(body=body, mark=True))) == 40


def test_only_requests_are_answered():
    for kind in (0x0011, 0x0101, 0x0111, 0x0002, 0x0003, 0x0000, 0x0201, 0x3FFF, 0x4001, 0xC401):
        assert answer(message(kind)) == b"", kind


def test_an_answer_is_never_answered():
    for data in (message(), message(mark=True), message(body=attribute(3, bytes(4))), REQUEST):
        assert answer(answer(data)) == b"" and answer(data) != b""


def test_clients_of_rfc_3489():
    old = b"anid"
    a = answer(message(cookie=old))
    assert (
        a == b"\x01\x01\x00\x0c" + old + ID + unhexlify(b"000100080001") + b"\x80\x55" + ADDR[:4]
    )
    m = read(a)
    assert m.old and m.mapped == ADDR
    # Nothing is to be sent from, or to, any other address: what isn't asked for may be there.
    assert answer(message(body=attribute(3, bytes(4)), cookie=old)) == a
    for flags in (2, 4, 6, 1 << 7):
        assert answer(message(body=attribute(3, bytes((0, 0, 0, flags))), cookie=old)) == b""
    assert answer(message(body=attribute(2, b"\x00\x01" + ADDR[4:] + ADDR[:4]), cookie=old)) == b""
    assert answer(message(body=attribute(3, b"\x00"), cookie=old)) == b""


def test_the_size_of_every_answer():
    """Bytes out for bytes in, with IP and UDP headers (28): what a reflector could gain."""
    worst = worst_ip = 0
    for mark in (False, True):
        for k in range(14):
            for cookie in (COOKIE, b"anid"):
                body = b"".join(attribute(0x100 + i, b"") for i in range(k))
                q = message(body=body, cookie=cookie, mark=mark and cookie == COOKIE)
                a = answer(q)
                worst = max(worst, len(a) / len(q))
                worst_ip = max(worst_ip, (len(a) + 28) / (len(q) + 28))
    assert worst == 1.6 and worst_ip == 1.25


def test_our_request():
    out = bytearray(28)
    assert stun.ask(ID, out) == 28
    assert bytes(out) == message(mark=True)
    m = read(bytes(out))
    assert (m.kind, m.marked, m.old, m.unknown) == (1, True, False, b"")


def test_only_n_bytes_of_the_buffer_count():
    m = Message()
    data = message(mark=True)
    assert m.read(data + b"\xff" * 1000, len(data)) and m.marked
    assert not m.read(data + b"\xff" * 1000, len(data) + 4)


def test_every_truncation_and_every_length():
    for whole in (REQUEST, IPV4, IPV6, LONG_TERM, message(mark=True)):
        for n in range(len(whole)):
            cut = whole[:n]
            assert read(cut) is None
            # With a length field that fits, an attribute may be cut, or the FINGERPRINT gone.
            cut = cut[:2] + b2(max(0, n - 20)) + cut[4:]
            m = read(cut)
            assert m is None or not m.marked
        for size in (0, 1, 2, 3, len(whole) - 16, len(whole) - 24, 0x7FFC, 0xFFFC, 0xFFFF):
            assert read(whole[:2] + b2(size) + whole[4:]) is None


def test_lengths_of_attributes_that_leave_the_message():
    for size in (1, 4, 5, 8, 0x7FFF, 0x8000, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF):
        assert read(message(body=attribute(0x0020, b"", size))) is None
        if size > 8:
            assert read(message(body=attribute(0x8022, bytes(8), size))) is None


def test_odd_addresses_and_codes_are_no_addresses():
    for kind in (0x0001, 0x0020):
        for value in (b"", bytes(4), bytes(8), b"\x00\x02" + bytes(6), b"\x00\x01" + bytes(18)):
            assert read(message(0x101, attribute(kind, value))).mapped is None
    assert read(message(0x111, attribute(9, b"\x00"))).code == 0
    assert read(message(0x111, attribute(9, b"\x00\x00\x05\x03text"))).code == 503
    # XOR-MAPPED-ADDRESS wins, in either order: a NAT may have changed the other.
    plain = attribute(1, b"\x00\x01" + bytes((16, 8, 10, 0, 0, 1)))
    crossed = attribute(0x20, unhexlify(b"0001a147e112a643"))
    for body in (plain + crossed, crossed + plain):
        assert read(message(0x101, body)).mapped == ADDR
    assert read(message(0x101, plain)).mapped == bytes((10, 0, 0, 1, 16, 8))


def test_too_long_is_not_read():
    assert read(message(body=attribute(0x8022, bytes(524)))) is not None
    assert read(message(body=attribute(0x8022, bytes(528)))) is None


def test_ten_thousand_random_datagrams():
    rng = XorShift(5)
    heads = (b"", message()[:4], message()[:8], REQUEST[:24], IPV4[:40])
    m = Message()
    out = bytearray(64)
    read_well = 0
    for i in range(10000):
        head = heads[i % len(heads)]
        size = 4 * (rng.getrandbits(6) + 5)
        b = bytearray(head)
        while len(b) < size:
            b += bytes((rng.getrandbits(8), rng.getrandbits(8)))
        n = len(b)
        if i & 1:
            b[2:4] = b2(n - 20)
        if i & 2 and n > 23:  # an attribute that fits
            b[22:24] = b2(n - 24)
        if i & 4:
            b = b[: n - rng.getrandbits(3)]
        if m.read(b, len(b)):
            read_well += 1
            assert 0 <= m.answer(b, ADDR, out) <= min(56, 2 * len(b))
    assert 500 < read_well < 9500

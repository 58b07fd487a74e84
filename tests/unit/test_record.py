from hashlib import sha256

import kit
from l4mesh.endpoint import parse_endpoint
from l4mesh.record import (
    BODY,
    SIZE,
    check_form,
    encode_body,
    hash_of,
    id_of,
    newer,
    signed_text,
)
from world import NETWORK

KEY = bytes(range(32))
LAN = parse_endpoint("192.168.1.5:4104")
PUBLIC = parse_endpoint("203.0.113.9:40000")


def make(**change):
    v = {"net": NETWORK, "epoch": 3, "counter": 9, "key": KEY, "tier": 4, "caps": 5, "lan": LAN,
         "public": PUBLIC, "relay": b"12345678", "life": 30}  # fmt: skip
    v.update(change)
    b = bytearray(SIZE)
    encode_body(b, 0, v["net"], v["epoch"], v["counter"], v["key"], v["tier"], v["caps"], v["lan"],
                v["public"], v["relay"], v["life"])  # fmt: skip
    return b


def ok(b, off=0, n=SIZE, loopback=False):
    return check_form(b, off, n, NETWORK, loopback)


def test_the_bytes_are_those_of_the_protocol():
    b = make()
    text = b"R\x01" + NETWORK + b"\0\0\0\x03\0\0\0\x09" + KEY + b"\x04\0\x05" + LAN + PUBLIC
    text += b"12345678\0\x1e\0"
    assert len(text) == BODY == 72 and SIZE == 136
    assert bytes(b[:BODY]) == text
    assert signed_text(b, 0) == b"l4-record-v1\0" + text
    assert ok(b)


def test_an_offset_is_respected():
    b = bytearray(7) + make() + bytes(3)
    assert ok(b, 7) and not ok(b, 6)
    assert id_of(b, 7) == id_of(make(), 0) == sha256(b"l4-id-v1" + KEY).digest()[:16]
    assert hash_of(b, 7) == sha256(bytes(make())).digest()[:8]
    assert signed_text(b, 7) == signed_text(make(), 0)


def test_form_is_checked_field_by_field():
    assert ok(make())
    for n in (0, 72, 135, 137, 200, 201):
        assert not ok(make() + bytes(70), 0, n)
    for at, value in ((0, 0x51), (1, 0), (1, 2), (71, 1), (71, 255), (2, NETWORK[0] ^ 1),
                      (5, NETWORK[3] ^ 1), (6, 0x40), (10, 0x80), (46, 0), (46, 5)):  # fmt: skip
        b = make()
        b[at] = value
        assert not ok(b), (at, value)


def test_lifetime_is_one_minute_to_a_day():
    for life, good in ((0, False), (1, True), (1440, True), (1441, False), (65535, False)):
        b = make()
        b[69] = life >> 8
        b[70] = life & 255
        assert ok(b) == good


def test_endpoints_nobody_may_use_are_refused():
    bad = ["0.0.0.0:4104", "127.0.0.1:4104", "169.254.1.1:4104", "224.0.0.1:4104",
           "239.76.52.1:4104", "255.255.255.255:4104", "192.168.1.255:4104", "192.168.1.0:4104",
           "192.168.1.5:1", "192.168.1.5:1023", "240.0.0.1:4104"]  # fmt: skip
    for at in ("lan", "public"):
        for text in bad:
            assert not ok(make(**{at: parse_endpoint(text)})), text
        assert not ok(make(**{at: bytes((192, 168, 1, 5, 0, 0))}))
        assert ok(make(**{at: bytes(6)}))
        assert ok(make(**{at: parse_endpoint("192.168.1.5:1024")}))
    assert ok(make(lan=parse_endpoint("127.0.0.1:4104")), loopback=True)


def test_newer_is_by_epoch_then_counter():
    a = make(epoch=3, counter=9)
    assert newer(a, 0, make(epoch=3, counter=9, life=31), 0) == 0
    assert newer(a, 0, make(epoch=3, counter=8), 0) == 1
    assert newer(a, 0, make(epoch=2, counter=500), 0) == 1
    assert newer(a, 0, make(epoch=3, counter=10), 0) == -1
    assert newer(a, 0, make(epoch=256, counter=0), 0) == -1
    assert newer(make(epoch=0x3FFFFFFF), 0, a, 0) == 1


def test_own_nonsense_raises():
    for change in ({"life": 0}, {"life": 1441}, {"tier": 0}, {"tier": 5}):
        try:
            make(**change)
        except ValueError as e:
            assert "1440" in str(e)
        else:
            raise AssertionError(change)


def test_a_real_record_is_signed_over_its_text():
    from l4mesh import ed25519

    p = kit.Person(1)
    r = p.record()
    assert ok(r)
    assert id_of(r, 0) == p.id
    assert ed25519.verify(p.public, signed_text(r, 0), r[BODY:])
    assert not ed25519.verify(p.public, signed_text(p.record(counter=2), 0), r[BODY:])

"""HMAC (RFC 4231), HKDF (RFC 5869) and the derivations of docs/protocol.md, section 1."""

import hashlib
from binascii import hexlify, unhexlify

from l4mesh import keys

KEY = bytes(range(32))
ID = bytes(range(100, 116))


def _hex(data):
    return hexlify(data).decode()


def test_hmac_vectors_of_rfc_4231():
    cases = (
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 20,
            b"\xdd" * 50,
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            bytes(range(1, 26)),
            b"\xcd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    )
    for key, data, expected in cases:
        assert _hex(keys.hmac_sha256(key, data)) == expected, data


def test_hmac_takes_any_buffer_and_key_length():
    for n in (0, 1, 63, 64, 65, 200):
        key = bytes(range(n))
        expected = keys.hmac_sha256(key, b"data")
        assert keys.hmac_sha256(bytearray(key), memoryview(b"data")) == expected
    assert keys.hmac_sha256(b"", b"") != keys.hmac_sha256(b"\x01", b"")


def test_hkdf_vectors_of_rfc_5869():
    # the first 32 of the bytes in appendix A.1, A.2 and A.3
    ikm, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    a1 = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    assert _hex(keys.hkdf(ikm, info, salt)) == a1
    ikm, salt, info = bytes(range(80)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100))
    a2 = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
    assert _hex(keys.hkdf(ikm, info, salt)) == a2
    a3 = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert _hex(keys.hkdf(b"\x0b" * 22, b"", b"")) == a3


def test_hkdf_uses_the_salt_of_the_protocol():
    assert keys.hkdf(KEY, b"x") == keys.hkdf(KEY, b"x", b"l4mesh-v1")
    assert keys.hkdf(KEY, b"x") != keys.hkdf(KEY, b"x", b"")


def test_ids_are_prefixes_of_tagged_hashes():
    assert keys.node_id(KEY) == hashlib.sha256(b"l4-id-v1" + KEY).digest()[:16]
    assert keys.network_id(KEY) == hashlib.sha256(b"l4-net-v1" + KEY).digest()[:4]


def test_derived_keys_are_as_the_protocol_says():
    node_key = keys.node_key(KEY, ID)
    assert node_key == keys.hkdf(KEY, b"l4-node-v1" + ID)
    assert keys.mac_key(node_key) == keys.hkdf(node_key, b"l4-mac-v1")
    assert keys.seal_key(node_key) == keys.hkdf(node_key, b"l4-seal-v1")
    password = keys.mqtt_password(node_key)
    assert password == _hex(keys.hkdf(node_key, b"l4-mqtt-v1")[:16])
    assert isinstance(password, str) and len(unhexlify(password)) == 16
    made = [KEY, node_key, keys.mac_key(node_key), keys.seal_key(node_key), keys.mac_key(KEY)]
    assert len(set(made)) == 5


def test_derivations_stay_what_they_were():
    # golden: other nodes hold keys made by earlier versions
    node_key = keys.node_key(KEY, ID)
    assert _hex(keys.node_id(KEY)) == "9215b1657f82b81f132ddb56b3553824"
    assert _hex(keys.network_id(KEY)) == "7c02ad56"
    assert _hex(node_key) == ("4c26ef5797d26f3e4905a5818845b4dfbe771687c21139dd6c83795452a0e17f")
    assert keys.mqtt_password(node_key) == "6e196ec8bfc40cc5e1b38d9c4fe91066"


def test_wrong_lengths_are_misuse():
    calls = (
        lambda: keys.node_id(KEY[:31]),
        lambda: keys.network_id(KEY + b"\0"),
        lambda: keys.node_key(KEY[:16], ID),
        lambda: keys.node_key(KEY, ID[:8]),
        lambda: keys.mac_key(b""),
        lambda: keys.seal_key(KEY[:16]),
        lambda: keys.mqtt_password(KEY[:16]),
    )
    for i, call in enumerate(calls):
        try:
            call()
        except ValueError as e:
            assert "bytes; pass one of" in str(e)
        else:
            raise AssertionError(i)

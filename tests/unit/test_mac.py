from binascii import unhexlify

import kit
from l4mesh.mac import Mac


def test_it_is_hmac_sha256():
    for n in (0, 1, 28, 55, 56, 64, 183, 1200):
        data = bytes([(i * 7 + n) & 255 for i in range(n)])
        key = bytes(range(n % 100, n % 100 + 32))
        assert Mac(key).tag(memoryview(data)) == kit.hmac(key, data)


def test_rfc_4231_case_with_a_padded_key():
    # Case 2 has a short key; zero bytes behind it are what HMAC pads with anyway.
    tag = Mac(b"Jefe" + bytes(28)).tag(b"what do ya want for nothing?")
    assert tag == unhexlify("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")


def test_good_wants_all_sixteen_bytes():
    mac = Mac(bytes(32))
    text = b"some frame"
    buf = bytearray(b"xx" + mac.tag(text)[:16] + b"yy")
    assert mac.good(text, buf, 2)
    for i in range(16):
        buf[2 + i] ^= 1
        assert not mac.good(text, buf, 2)
        buf[2 + i] ^= 1
    assert not mac.good(b"other text", buf, 2)
    assert not Mac(bytes(31) + b"\x01").good(text, buf, 2)


def test_one_mac_serves_many_frames():
    mac = Mac(bytes(32))
    first = mac.tag(b"a")
    assert mac.tag(b"b") != first
    assert mac.tag(b"a") == first


def test_a_key_of_another_length_is_a_mistake():
    for key in (b"", bytes(31), bytes(33)):
        try:
            Mac(key)
        except ValueError as e:
            assert "32 bytes" in str(e)
        else:
            raise AssertionError("taken: %d" % len(key))

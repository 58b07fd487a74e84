"""Blobs: vectors, every bit, and what makes them what they are."""

from binascii import hexlify

from kit import b4, hmac
from l4mesh import blob
from l4mesh.compat import aes_ecb
from l4mesh.keys import hkdf

KEY = bytes(range(32))
KEYS = blob.keys_of(KEY)
ORIGIN = bytes(range(100, 116))
QUEUE = b"queue-id"
READING = b"\x0c\x01" + bytes(8) + b"t=1"


def head(first=7, count=1):
    return ORIGIN + QUEUE + b4(first) + bytes((count,))


def made(readings=READING, first=7, keys=KEYS, off=3):
    count = len(readings) // len(READING)
    b = bytearray(off) + head(first, count) + readings + bytes(20)
    end = blob.close(keys, b, off, off + 29 + len(readings))
    assert end == off + 29 + len(readings) + 16
    return bytes(b[off:end])


def by_hand(readings):
    """The same from the text of the protocol."""
    tag_key, seal_key = [hkdf(KEY, b"l4-blob-%s-v1" % u) for u in (b"tag", b"seal")]
    h = head(7, len(readings) // len(READING))
    tag = hmac(tag_key, h + readings)[:16]
    ecb = aes_ecb(hmac(seal_key, h + tag)[:16])
    out = bytearray(readings)
    for i in range(0, len(out), 16):
        stream = ecb((i // 16).to_bytes(16, "big"))
        for j in range(i, min(i + 16, len(out))):
            out[j] ^= stream[j - i]
    return h + bytes(out) + tag


def test_vectors():
    assert made() == by_hand(READING)
    assert made(READING * 60) == by_hand(READING * 60)
    assert hexlify(made()[29:]) == VECTOR


def test_opened_again():
    text = READING * 83
    for off in (0, 5):
        b = bytearray(off) + made(text)
        end = blob.unclose(KEYS, b, off, len(b))
        assert end == len(b) - 16 and bytes(b[off:end]) == head(7, 83) + text


def test_every_bit_counts():
    whole = made(READING * 2)
    for i in range(8 * len(whole)):
        b = bytearray(whole)
        b[i >> 3] ^= 1 << (i & 7)
        assert blob.unclose(KEYS, b, 0, len(b)) == -1, i


def test_lengths():
    whole = made(READING * 2)
    for n in range(len(whole)):
        assert blob.unclose(KEYS, bytearray(whole[:n]), 0, n) == -1
    assert 29 + 1087 + 16 == 1132 and 16 + 1132 + 8 == 1156


def test_the_same_readings_make_the_same_blob_and_no_others_do():
    assert made() == made()
    a, b = made(first=7), made(first=8)
    assert a[-16:] != b[-16:] and a[29:-16] != b[29:-16]
    other = blob.keys_of(bytes(32))
    assert made(keys=other)[29:] != made()[29:]
    assert blob.unclose(other, bytearray(made()), 0, len(made())) == -1


def test_a_blob_hides_its_readings():
    b = made(READING * 40)
    assert b"t=1" not in b
    assert len(set(b[i : i + 16] for i in range(29, 29 + 512, 16))) == 32


def test_the_word_for_the_owner():
    word = ORIGIN + QUEUE + b"\x00\x01" + b4(0) + b4(9)
    b = bytearray(2) + word + blob.ack_tag(KEYS, word)
    assert blob.ack_good(KEYS, b, 2, len(b))
    assert blob.ack_tag(KEYS, word) == hmac(hkdf(KEY, b"l4-blob-ack-v1"), word)[:16]
    for i in range(16, 8 * len(b)):
        b[i >> 3] ^= 1 << (i & 7)
        assert not blob.ack_good(KEYS, b, 2, len(b)), i
        b[i >> 3] ^= 1 << (i & 7)
    assert not blob.ack_good(KEYS, b, 2, 18)
    # a blob is no word, and a word no blob
    w = made()
    assert not blob.ack_good(KEYS, w, 0, len(w))


VECTOR = b"0375838015a821face022e00e2b675368b7cc173b769df9138002085eb"

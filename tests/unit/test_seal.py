"""AES-128-CTR against NIST SP 800-38A (F.5.1), and sealing as docs/protocol.md has it."""

from binascii import hexlify, unhexlify

from l4mesh.compat import aes_ecb
from l4mesh.keys import hmac_sha256
from l4mesh.seal import ctr_xor, seal

KEY = unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
FIRST = int.from_bytes(unhexlify("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), "big")
PLAIN = unhexlify(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CIPHER = (
    "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
    "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
)
SEAL_KEY = bytes(range(32))


def _frame(payload_len):
    """A frame of counted bytes: header 28, payload, and 16 bytes where the tag will be."""
    return bytearray(i & 255 for i in range(28 + payload_len + 16))


def test_nist_vector():
    buf = bytearray(PLAIN)
    ctr_xor(KEY, buf, 0, 64, FIRST)
    assert hexlify(buf).decode() == CIPHER
    ctr_xor(KEY, buf, 0, 64, FIRST)
    assert buf == PLAIN


def test_the_stream_is_the_encrypted_counter():
    for n in (1, 15, 16, 17, 127, 128, 129, 300, 1156):
        buf = bytearray(n)
        ctr_xor(KEY, buf, 0, n)
        encrypt = aes_ecb(KEY)
        stream = b"".join([encrypt(i.to_bytes(16, "big")) for i in range((n + 15) // 16)])
        assert buf == stream[:n], n


def test_only_the_range_changes():
    for off, end in ((28, 100), (44, 45), (36, 172), (50, 50), (60, 50), (172, 172)):
        frame = _frame(144)
        before = bytes(frame)
        ctr_xor(KEY, frame, off, end)
        assert len(frame) == len(before)
        assert frame[:off] == before[:off], (off, end)
        if off < end:
            assert frame[off:end] != before[off:end], (off, end)
            assert frame[end:] == before[end:], (off, end)
        else:
            assert frame == before, (off, end)


def test_sealing_twice_opens():
    for n in (1, 16, 100, 1156):
        frame = _frame(n)
        seal(SEAL_KEY, frame, 0, 28, 28 + n)
        assert frame != _frame(n)
        seal(SEAL_KEY, frame, 0, 28, 28 + n)
        assert frame == _frame(n), n


def test_the_frame_key_is_of_header_bytes_8_to_28():
    frame = _frame(64)
    plain = bytes(frame)
    seal(SEAL_KEY, frame, 0, 44, 92)
    expected = bytearray(plain)
    ctr_xor(hmac_sha256(SEAL_KEY, plain[8:28])[:16], expected, 44, 92)
    assert frame == expected
    for at in range(28):
        other = bytearray(plain)
        other[at] ^= 1
        seal(SEAL_KEY, other, 0, 44, 92)
        assert (other[44:92] != frame[44:92]) == (at >= 8), at


def test_a_frame_may_stand_anywhere_in_a_buffer():
    frame = _frame(64)
    moved = bytearray(7) + frame
    seal(SEAL_KEY, frame, 0, 36, 92)
    seal(SEAL_KEY, memoryview(moved), 7, 43, 99)
    assert moved[7:] == frame and moved[:7] == bytes(7)


def test_another_key_does_not_open():
    frame = _frame(64)
    seal(SEAL_KEY, frame, 0, 28, 92)
    seal(bytes(32), frame, 0, 28, 92)
    assert frame[28:92] != _frame(64)[28:92]


def test_sealed_bytes_stay_what_they_were():
    # golden: nodes of different versions must open each other's frames
    frame = _frame(32)
    seal(SEAL_KEY, frame, 0, 28, 60)
    assert hexlify(frame[28:60]).decode() == (
        "cf8366b1405a4abeea79938ef7693a2f7776b46e9ec9ed798681f44925bdc6da"
    )

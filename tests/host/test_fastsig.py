"""fastsig accepts and refuses exactly what ed25519.py does."""

import random

from l4mesh import ed25519
from l4tools import fastsig

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7


def test_keys_and_signatures_are_the_same_bytes():
    rng = random.Random(1)
    for n in (0, 1, 85, 200):
        seed, msg = rng.randbytes(32), rng.randbytes(n)
        pub = fastsig.run(fastsig.PublicKey(seed))
        assert pub == ed25519.public_key(seed)
        sig = fastsig.run(fastsig.Sign(seed, pub, msg))
        assert sig == ed25519.sign(seed, msg)
        assert fastsig.run(fastsig.Verify(pub, msg, sig)) is True
        assert ed25519.verify(pub, msg, sig) is True


def test_one_changed_bit_is_refused_by_both():
    rng = random.Random(2)
    seed = rng.randbytes(32)
    pub, msg = fastsig.public_key(seed), b"a record"
    sig = fastsig.sign(seed, msg)
    for _ in range(12):
        bad = bytearray(sig + pub + msg)
        bit = rng.randrange(8 * len(bad))
        bad[bit >> 3] ^= 1 << (bit & 7)
        args = (bytes(bad[64:96]), bytes(bad[96:]), bytes(bad[:64]))
        assert fastsig.verify(*args) is False
        assert ed25519.verify(*args) is False


def test_what_openssl_alone_would_take_is_refused():
    y_bytes = [
        y + (sign << 255) for y in (0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y) for sign in (0, 1)
    ]
    for number in y_bytes:
        pub = number.to_bytes(32, "little")
        # R = identity and S = 0 verifies for a key of small order wherever the factor is kind.
        sig = (1).to_bytes(32, "little") + bytes(32)
        for msg in (b"a", b"b", b"c", b"d"):
            assert fastsig.verify(pub, msg, sig) is False
            assert ed25519.verify(pub, msg, sig) is False


def test_second_encodings_of_y_and_of_s_are_refused():
    seed = bytes(range(32))
    pub, msg = fastsig.public_key(seed), b"m"
    sig = fastsig.sign(seed, msg)
    s = int.from_bytes(sig[32:], "little") + L
    assert fastsig.verify(pub, msg, sig[:32] + s.to_bytes(32, "little")) is False
    for y in range(19):  # the y that have a second encoding, y + p
        twice = (y + P).to_bytes(32, "little")
        assert fastsig.verify(twice, msg, sig) is False
        assert ed25519.verify(twice, msg, sig) is False


def test_wrong_lengths_are_false_and_a_wrong_seed_raises():
    pub = fastsig.public_key(bytes(32))
    sig = fastsig.sign(bytes(32), b"")
    assert fastsig.verify(pub, b"", sig) is True
    for args in (
        (pub[:31], b"", sig),
        (pub + b"x", b"", sig),
        (pub, b"", sig[:63]),
        (b"", b"", b""),
    ):
        assert fastsig.verify(*args) is False
    for bad in (b"", bytes(31), bytes(33)):
        try:
            fastsig.PublicKey(bad)
        except ValueError as e:
            assert "32 bytes" in str(e)
        else:
            raise AssertionError("a seed of %d bytes was taken" % len(bad))


def test_a_job_gives_its_result_again():
    job = fastsig.PublicKey(bytes(32))
    assert job.step() == job.step() == fastsig.public_key(bytes(32))

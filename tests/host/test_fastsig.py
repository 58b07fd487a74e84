"""fastsig accepts and refuses exactly what ed25519.py does."""

import random

import pytest
from l4mesh import agree, ed25519
from l4tools import fastsig

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


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


def test_the_points_of_order_8_are_those():
    d = -121665 * pow(121666, -1, P) % P
    for y in (ORDER_8_Y, P - ORDER_8_Y):
        x2 = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        # Twice (x, y) has y = 0 when x**2 = -y**2 (2P's y is (y**2 + x**2) / ..): order 4.
        assert (x2 + y * y) % P == 0 and pow(x2, (P - 1) // 2, P) == 1


def test_what_openssl_alone_would_take_is_refused():
    y_bytes = [
        y + (sign << 255) for y in (0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y) for sign in (0, 1)
    ]
    for number in y_bytes:
        pub = number.to_bytes(32, "little")
        # R = identity and S = 0 verifies for a key of small order wherever the factor is kind.
        sig = (1).to_bytes(32, "little") + bytes(32)
        for i in range(64):
            msg = bytes([i])
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


def test_a_shared_secret_is_that_of_the_boards():
    rng = random.Random(5)
    for _ in range(4):
        a, b = rng.randbytes(32), rng.randbytes(32)
        one = fastsig.run(fastsig.Shared(a, fastsig.public_key(b)))
        assert len(one) == 32 and one == fastsig.shared(b, fastsig.public_key(a))
        assert one == ed25519.run(agree.Shared(b, fastsig.public_key(a)))


def test_a_shared_secret_with_what_is_no_key_is_none():
    seed = bytes(range(32))
    low = (0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y)
    for y in (*low, *(y + (1 << 255) for y in low), *range(2, 40), P, P + 1, P + 9, 2**255 - 1):
        pub = y.to_bytes(32, "little")
        # (Of points that are no key but on the curve, both make something.)
        both = fastsig.shared(seed, pub), ed25519.run(agree.Shared(seed, pub))
        assert len(both[0]) == len(both[1]), y
    assert fastsig.shared(seed, bytes(32)) == b""
    for bad in ((bytes(31), bytes(32)), (bytes(32), bytes(31))):
        with pytest.raises(ValueError, match="32 bytes"):
            fastsig.shared(*bad)


def test_a_made_up_key_learns_nothing_of_the_seed():
    """A point of order 8 added to a real key: without the factor 8 it would tell three bits."""
    seed, other = bytes(range(32)), bytes(range(1, 33))
    x, y = _point(fastsig.public_key(other))
    mixed = {fastsig.shared(seed, _encoded(_sum((x, y), t))) for t in _torsion()}
    assert len(mixed) == 1


def _point(pub):
    """(x, y) of a public key, in plain textbook arithmetic."""
    n = int.from_bytes(pub, "little")
    y, sign = n & (1 << 255) - 1, n >> 255
    x = _root(y)
    return (P - x if x & 1 != sign else x), y


def _root(y):
    d = -121665 * pow(121666, -1, P) % P
    x2 = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    return x if x * x % P == x2 else x * pow(2, (P - 1) // 4, P) % P


def _sum(a, b):
    d = -121665 * pow(121666, -1, P) % P
    t = d * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P


def _torsion():
    """The eight points of small order."""
    one = (_root(ORDER_8_Y), ORDER_8_Y)
    points = [(0, 1)]
    for _ in range(7):
        points.append(_sum(points[-1], one))
    assert len(set(points)) == 8 and _sum(points[-1], one) == (0, 1)
    return points


def _encoded(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")

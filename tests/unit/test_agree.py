"""The shared secret of two identities. Vectors: X25519 of OpenSSL, taken to y."""

from hashlib import sha256

from l4mesh import ed25519
from l4mesh.agree import Shared
from l4mesh.ed25519 import run

# seed a = SHA-256("a%d"), seed b = SHA-256("b%d"): the secret of the two
VECTORS = (
    "1a52a889579f31e103bab37065ee811bce3a1a3c8965f97d5b82dff9fa7ea829",
    "7df80ab9f6f4cdbb0f0ca5b63ac837190c1f7d9dffd193f79e44634cc9137c7b",
    "6884f623a7c9a6bed8e093667be5aac2986f14d93672fb65484921bf960a0f03",
)

P = 2**255 - 19


def pair(i):
    return sha256(b"a%d" % i).digest(), sha256(b"b%d" % i).digest()


def test_both_sides_get_what_x25519_gives():
    for i in range(len(VECTORS)):
        a, b = pair(i)
        secret = bytes([int(VECTORS[i][j : j + 2], 16) for j in range(0, 64, 2)])
        assert run(Shared(a, ed25519.public_key(b))) == secret
        assert run(Shared(b, ed25519.public_key(a))) == secret
    assert len(VECTORS) == 3


def test_the_sign_of_the_other_key_plays_no_part():
    a, b = pair(0)
    pub = bytearray(ed25519.public_key(b))
    one = run(Shared(a, pub))
    pub[31] ^= 128
    assert run(Shared(a, pub)) == one and len(one) == 32


def test_what_is_no_key_gives_nothing():
    a, _ = pair(0)
    low = (0, 1, P - 1, 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7)
    off_the_curve = (2, P, P + 1, 2**255 - 1)
    for y in low + off_the_curve:
        job = Shared(a, y.to_bytes(32, "little"))
        assert run(job) == b"" and job.step() == b"", y


def test_it_works_in_small_steps_and_keeps_its_result():
    a, b = pair(1)
    job = Shared(a, ed25519.public_key(b))
    steps = 1
    while job.step() is None:
        steps += 1
    assert 40 < steps < 100
    assert job.step() == job.step() and len(job.step()) == 32


def test_wrong_lengths_are_told():
    for seed, pub in ((bytes(31), bytes(32)), (bytes(32), bytes(33))):
        try:
            Shared(seed, pub)
            raise AssertionError("taken")
        except ValueError as e:
            assert "32 bytes" in str(e)

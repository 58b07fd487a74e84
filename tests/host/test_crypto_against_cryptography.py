"""The core's cryptography against OpenSSL's (through `cryptography`) and hashlib's."""

import hashlib
import hmac
import subprocess
import sys
from pathlib import Path

import ed25519_table as table_maker
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from l4mesh import ed25519, ed25519_curve, ed25519_table, keys, seal
from l4mesh.sha512 import Sha512, finish, sha512

TESTS = Path(__file__).resolve().parents[1]
P = table_maker.P
L = 2**252 + 27742317777372353535851937790883648493
ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
seeds = st.binary(min_size=32, max_size=32)
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def accepts(pub, msg, sig):
    """Whether OpenSSL takes the signature."""
    try:
        Ed25519PublicKey.from_public_bytes(pub).verify(sig, msg)
    except (InvalidSignature, ValueError):
        return False
    return True


def base(scalar):
    """scalar * base point, 32 bytes."""
    return finish(ed25519_curve.encode(*finish(ed25519_curve.combine(scalar, bytes(51), None))))


def decode(data):
    """The affine point (x, y) that 32 bytes encode."""
    x, y = finish(ed25519_curve.negated(data))
    return P - x, y


@quick
@given(seeds, st.binary(max_size=300))
def test_same_keys_and_signatures(seed, msg):
    theirs = Ed25519PrivateKey.from_private_bytes(seed)
    pub = theirs.public_key().public_bytes_raw()
    sig = theirs.sign(msg)
    assert ed25519.public_key(seed) == pub
    assert ed25519.sign(seed, msg) == sig
    assert ed25519.run(ed25519.Sign(seed, pub, msg)) == sig
    assert ed25519.verify(pub, msg, sig) is True


@quick
@given(seeds, st.binary(min_size=1, max_size=200), st.data())
def test_a_flipped_bit_is_refused_by_both(seed, msg, data):
    pub = ed25519.public_key(seed)
    whole = bytearray(pub + ed25519.sign(seed, msg) + msg)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit >> 3] ^= 1 << (bit & 7)
    pub, sig, msg = bytes(whole[:32]), bytes(whole[32:96]), bytes(whole[96:])
    assert ed25519.verify(pub, msg, sig) is False
    assert accepts(pub, msg, sig) is False


@quick
@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=140))
def test_any_bytes_are_false(pub, msg, sig):
    assert ed25519.verify(pub, msg, sig) is False


@quick
@given(seeds)
def test_any_32_bytes_are_a_point_or_none(key):
    # the curve's equation solved by Euler's criterion, another way than the core's
    y = int.from_bytes(key, "little") % 2**255
    xx = (y * y - 1) * pow(table_maker.D * y * y + 1, -1, P) % P
    on_curve = y < P and pow(xx, (P - 1) // 2, P) <= 1
    found = finish(ed25519_curve.negated(key))
    assert (found is not None) is on_curve
    if found:
        x = P - found[0]
        assert found[1] == y and x * x % P == xx
        assert xx == 0 or x % 2 == key[31] >> 7


@quick
@given(st.integers(1, L - 1), st.integers(1, L - 1), st.binary(max_size=20))
def test_a_key_with_a_torsion_part_is_judged_as_by_openssl(a, r, msg):
    # A + T with T of order 8: the signature made with a's scalar holds when k * T = 0 only. A
    # verifier with the cofactor would take them all.
    x, y = table_maker.add(decode(base(a)), decode(ORDER_8))
    pub = (y | (x & 1) << 255).to_bytes(32, "little")
    start = base(r)
    k = int.from_bytes(hashlib.sha512(start + pub + msg).digest(), "little")
    sig = start + ((r + k * a) % L).to_bytes(32, "little")
    assert ed25519.verify(pub, msg, sig) is accepts(pub, msg, sig) is (k % L % 8 == 0)


@quick
@given(st.binary(max_size=700), st.integers(0, 700))
def test_sha512(data, cut):
    expected = hashlib.sha512(data).digest()
    assert sha512(data) == expected
    assert Sha512().update(data[:cut]).update(data[cut:]).digest() == expected


def test_sha512_at_every_length_to_three_blocks():
    data = bytes(i * 7 & 255 for i in range(385))
    for n in range(385):
        assert sha512(data[:n]) == hashlib.sha512(data[:n]).digest(), n


@quick
@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=40))
def test_hmac_and_hkdf(key, data, info):
    assert keys.hmac_sha256(key, data) == hmac.digest(key, data, "sha256")
    expected = HKDF(hashes.SHA256(), 32, b"l4mesh-v1", info).derive(key)
    assert keys.hkdf(key, info) == expected


@quick
@given(st.binary(min_size=16, max_size=16), st.binary(max_size=1156), st.integers(0, 2**127))
def test_ctr(key, data, first):
    buf = bytearray(data)
    seal.ctr_xor(key, buf, 0, len(buf), first)
    mode = modes.CTR(first.to_bytes(16, "big"))
    assert buf == Cipher(algorithms.AES(key), mode).encryptor().update(data)


@quick
@given(seeds, st.binary(min_size=28, max_size=28), st.binary(max_size=400))
def test_seal(seal_key, header, payload):
    frame = bytearray(header + payload)
    seal.seal(seal_key, frame, 0, 28, len(frame))
    key = hmac.digest(seal_key, header[8:], "sha256")[:16]
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    assert frame == header + stream.update(payload)


def test_the_table_is_what_its_maker_makes():
    made = subprocess.run(
        [sys.executable, TESTS / "ed25519_table.py"], capture_output=True, text=True, check=True
    )
    assert Path(ed25519_table.__file__).read_text() == made.stdout
    found = {}
    exec(made.stdout, found)
    assert found["BASE"] == ed25519_table.BASE and len(ed25519_table.BASE) == 1024

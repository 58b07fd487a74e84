"""Ed25519 against the vectors of RFC 8032, section 7.1, and against what must be refused."""

from binascii import hexlify, unhexlify

from l4mesh import ed25519
from l4mesh.ed25519_curve import negated, windows
from l4mesh.ed25519_table import BASE
from l4mesh.sha512 import finish, sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
VECTORS = __file__.rsplit("/", 1)[0] + "/../golden/rfc8032.txt"
# The 8 points of small order: y = 1, -1, 0 (both signs of x), and the two y of order 8.
ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SEED = bytes(range(32))


def _vectors():
    """The golden file: a list of dicts of bytes, in order."""
    found = []
    with open(VECTORS) as f:
        for line in f:
            key, _, value = line.rstrip("\n").partition(" ")
            if key == "name":
                found.append({"msg": b""})
            elif key != "#":
                found[-1][key] = found[-1].get(key, b"") + unhexlify(value)
    return found


def _le(n):
    return n.to_bytes(32, "little")


def _flip(data, bit):
    out = bytearray(data)
    out[bit >> 3] ^= 1 << (bit & 7)
    return bytes(out)


def _steps(job):
    n = 1
    while job.step() is None:
        n += 1
    return n


def test_vectors_of_the_rfc():
    vectors = _vectors()
    assert [len(v["msg"]) for v in vectors] == [0, 1, 2, 1023, 64]
    for v in vectors:
        assert ed25519.public_key(v["seed"]) == v["pub"], hexlify(v["pub"])
        assert ed25519.sign(v["seed"], v["msg"]) == v["sig"], hexlify(v["pub"])
        assert ed25519.verify(v["pub"], v["msg"], v["sig"]) is True, hexlify(v["pub"])


def test_any_changed_bit_is_refused():
    v = _vectors()[2]
    for bit in range(0, 512, 37):
        assert ed25519.verify(v["pub"], v["msg"], _flip(v["sig"], bit)) is False, bit
    for bit in range(0, 256, 31):
        assert ed25519.verify(_flip(v["pub"], bit), v["msg"], v["sig"]) is False, bit
    for bit in range(16):
        assert ed25519.verify(v["pub"], _flip(v["msg"], bit), v["sig"]) is False, bit
    assert ed25519.verify(v["pub"], v["msg"] + b"\0", v["sig"]) is False
    assert ed25519.verify(v["pub"], v["msg"][:1], v["sig"]) is False


def test_wrong_lengths_are_refused():
    v = _vectors()[1]
    pub, msg, sig = v["pub"], v["msg"], v["sig"]
    for bad in (b"", pub[:31], pub + b"\0"):
        assert ed25519.verify(bad, msg, sig) is False, len(bad)
    for bad in (b"", sig[:32], sig[:63], sig + b"\0"):
        assert ed25519.verify(pub, msg, bad) is False, len(bad)


def test_s_not_below_the_order_is_refused():
    v = _vectors()[1]
    r, s = v["sig"][:32], int.from_bytes(v["sig"][32:], "little")
    assert ed25519.verify(v["pub"], v["msg"], r + _le(s)) is True
    for other in (s + L, L, L - 1, 2**256 - 1):
        assert ed25519.verify(v["pub"], v["msg"], r + _le(other)) is False, other


def test_small_order_keys_are_refused():
    # R = identity, S = 0 fits the equation under such a key whenever the hash is 0 modulo 8, so
    # a forger has only to try some messages.
    forged = _le(1) + bytes(32)
    for y in (1, P - 1, 0, ORDER_8_Y, P - ORDER_8_Y):
        for sign in (0, 1):
            key = _le(y | sign << 255)
            n = 0
            while int.from_bytes(sha512(forged[:32] + key + bytes(n)), "little") % L % 8:
                n += 1
            assert ed25519.verify(key, bytes(n), forged) is False, (y, sign)
    assert ed25519.verify(bytes(32), b"", bytes(64)) is False


def test_non_canonical_and_absent_points_are_refused():
    # Only 19 values of y have a second encoding, y + p. Nobody has the secret of one that is not
    # of small order, so the decoder is asked itself.
    points = 0
    for y in range(19):
        points += finish(negated(_le(y))) is not None
        for sign in (0, 1):
            assert finish(negated(_le(y + P | sign << 255))) is None, y
            assert ed25519.verify(_le(y + P | sign << 255), b"", _le(1) + bytes(32)) is False, y
    assert 1 < points < 19
    assert finish(negated(_le(2))) is None


def test_random_bytes_are_refused_and_never_raise():
    state = 12345
    for _ in range(12):
        junk = bytearray(128)
        for i in range(128):
            state = (state * 1103515245 + 12345) & 0x3FFFFFFF
            junk[i] = state >> 16 & 255
        junk[95] &= 15  # S below L, so that the curve is reached
        assert ed25519.verify(junk[:32], junk[96:], junk[32:96]) is False


def test_work_comes_in_small_steps():
    msg = bytes(85)
    pub = ed25519.public_key(SEED)
    sig = ed25519.sign(SEED, msg)
    assert 25 <= _steps(ed25519.PublicKey(SEED)) <= 60
    assert 40 <= _steps(ed25519.Sign(SEED, pub, msg)) <= 100
    assert 60 <= _steps(ed25519.Verify(pub, msg, sig)) <= 120


def test_a_finished_job_keeps_its_result():
    pub = ed25519.public_key(SEED)
    job = ed25519.Sign(SEED, pub, b"x")
    sig = ed25519.run(job)
    assert job.step() == sig and job.step() == sig
    job = ed25519.Verify(pub, b"y", sig)
    assert ed25519.run(job) is False
    assert job.step() is False and job.step() is False


def test_jobs_interleave_and_copy_their_arguments():
    pub = bytearray(ed25519.public_key(SEED))
    msg = bytearray(b"reading")
    sig = bytearray(ed25519.sign(SEED, msg))
    good = ed25519.Verify(memoryview(pub), memoryview(msg), memoryview(sig))
    bad = ed25519.Verify(pub, b"other", sig)
    sign = ed25519.Sign(SEED, pub, msg)
    expected = bytes(sig)
    for buf in (pub, msg, sig):
        buf[:] = bytes(len(buf))
    while sign.step() is None or good.step() is None or bad.step() is None:
        pass
    assert good.step() is True
    assert bad.step() is False
    assert sign.step() == expected


def test_a_seed_of_another_length_is_misuse():
    for seed in (b"", bytes(31), bytes(33)):
        for call in (ed25519.PublicKey, lambda s: ed25519.Sign(s, bytes(32), b"")):
            try:
                call(seed)
            except ValueError as e:
                assert "32 bytes" in str(e)
            else:
                raise AssertionError(len(seed))


def test_windows_sum_to_the_scalar():
    for k in (0, 1, 2, 15, 16, 17, 31, 32, L - 1, L // 3, 2**252, 2**252 - 1, 0x5A5A << 236):
        total = 0
        last = -5
        for i, n in enumerate(windows(k)):
            if n:
                assert i - last >= 5, k
                last = i
                total += (2 * n - 1 if n < 9 else 2 * n - 33) << i
        assert total == k, k


def test_table_points_lie_on_the_curve():
    assert len(BASE) == 1024
    d = -121665 * pow(121666, P - 2, P) % P
    for at in range(0, 1024, 64):
        x = int.from_bytes(BASE[at : at + 32], "little")
        y = int.from_bytes(BASE[at + 32 : at + 64], "little")
        assert (y * y - x * x - 1 - d * x * x * y * y) % P == 0, at

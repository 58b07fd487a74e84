"""Every way in which a manifest can be wrong, and what a good one says."""

from hashlib import sha256

from l4mesh import ed25519
from l4mesh import ota_manifest as m
from otakit import FILES, OWNER, PUBLIC, bundle, head, row, sign

GOOD, DATA = bundle()


def bad(body):
    """A signature over it would not help."""
    return not m.well_formed(body + bytes(64))


def with_path(path, data=b"x"):
    return head(7, len(data), 1) + row(path, data)


def test_what_a_good_one_says():
    assert m.well_formed(GOOD)
    assert m.counter(GOOD) == 7 and m.total(GOOD) == len(DATA) == sum(map(len, FILES.values()))
    assert m.text(GOOD, 0) == "any" and m.text(GOOD, 1) == "seven"
    assert m.bundle_id(GOOD) == sha256(GOOD).digest()[:16]
    assert ed25519.verify(PUBLIC, m.signed_text(GOOD), GOOD[-64:])
    got = [(path, size, GOOD[o : o + 32]) for path, size, o in m.files(GOOD)]
    assert got == [(p, len(d), sha256(d).digest()) for p, d in sorted(FILES.items())]


def test_the_signature_is_for_this_use_only():
    body = GOOD[:-64]
    for text in (body, sha256(body).digest(), b"l4-ota-v1" + sha256(body).digest()):
        assert not ed25519.verify(PUBLIC, m.signed_text(GOOD), ed25519.sign(OWNER, text))


def test_cut_at_every_byte_and_longer():
    for n in range(len(GOOD)):
        assert not m.well_formed(GOOD[:n]), n
    assert not m.well_formed(GOOD + b"\0")
    assert (
        not m.well_formed(b"")
        and not m.well_formed(bytes(200))
        and not m.well_formed(b"\xff" * 300)
    )


def test_any_flipped_bit_of_the_structure_breaks_form_or_signature():
    body = bytearray(GOOD)
    for i in range(0, len(body) - 64, 7):
        body[i] ^= 1 << (i % 8)
        raw = bytes(body)
        assert not m.well_formed(raw) or m.signed_text(raw) != m.signed_text(GOOD)
        body[i] ^= 1 << (i % 8)


def test_magic_and_format():
    for k in range(4):
        body = bytearray(GOOD)
        body[k] ^= 3
        assert not m.well_formed(bytes(body))


def test_counters():
    rest = row(b"a.mpy", b"x")
    assert m.well_formed(head(1, 1, 1) + rest + bytes(64))
    assert m.well_formed(head(0x3FFFFFFF, 1, 1) + rest + bytes(64))
    assert bad(head(0, 1, 1) + rest)
    assert bad(head(0x40000000, 1, 1) + rest) and bad(head(0xFFFFFFFF, 1, 1) + rest)


def test_odd_paths():
    good = (b"a.mpy", b"lib/x.mpy", b"lib/a_b/c9.mpy", b"supervisor.mpy", b"x" * 44 + b".mpy")
    for path in good:
        assert m.good_path(path) and not bad(with_path(path)), path
    odd = (
        b"", b".mpy", b"a", b"a.py", b"a.mpy.py", b"A.mpy", b"a b.mpy", b"../a.mpy",
        b"lib/../a.mpy", b"lib/..mpy", b"./a.mpy", b"/a.mpy", b"//a.mpy", b"lib//a.mpy",
        b"lib/.mpy", b"a/b/c/d.mpy", b"a\\b.mpy", b"c:a.mpy", b"a\0.mpy", b"a\n.mpy",
        b"caf\xc3\xa9.mpy", b"\xff\xfe.mpy", b"x" * 45 + b".mpy", b"manifest", b"state",
        b"config.json", b"keys/seed", b"a.mpy/", b"lib/a.mpy/b.mpy", b"-a.mpy", b"%2e.mpy",
    )  # fmt: skip
    for path in odd:
        assert not m.good_path(path), path
        assert bad(with_path(path)), path


def test_what_the_board_starts_with_is_never_replaced():
    for name in ("boot", "main", "safe_mode", "ota_boot"):
        assert bad(with_path(name.encode() + b".mpy")), name
    assert not bad(with_path(b"lib/boot.mpy"))


def test_order_and_repetition():
    a, b = row(b"a.mpy", b"x"), row(b"b.mpy", b"x")
    assert not bad(head(7, 2, 2) + a + b)
    assert bad(head(7, 2, 2) + b + a) and bad(head(7, 2, 2) + a + a)


def test_files_missing_or_too_many():
    a, b = row(b"a.mpy", b"x"), row(b"b.mpy", b"x")
    assert bad(head(7, 2, 2) + a) and bad(head(7, 1, 1) + a + b)
    assert bad(head(7, 0, 0)) and bad(head(7, 1, 0))
    many = b"".join([row(b"m%03d.mpy" % i, b"x") for i in range(255)])
    assert not bad(head(7, 255, 255) + many)
    assert bad(head(7, 256, 255) + many + row(b"n.mpy", b"x"))


def test_sizes():
    assert bad(head(7, 2, 1) + row(b"a.mpy", b"x"))  # the sum is not the total
    assert bad(head(7, 1, 2) + row(b"a.mpy", b"", 0) + row(b"b.mpy", b"x"))
    assert bad(head(7, 0xFFFFFF, 1) + row(b"a.mpy", b"x", 0xFFFFFF))
    assert bad(head(7, 786433, 1) + row(b"a.mpy", b"x", 786433))
    assert not bad(head(7, 786432, 1) + row(b"a.mpy", b"x", 786432))
    assert bad(head(0x7, 0xFFFFFFFF, 1) + row(b"a.mpy", b"x", 1))


def test_texts():
    rest = row(b"a.mpy", b"x")
    assert not bad(head(7, 1, 1, name=b"") + rest) and not bad(
        head(7, 1, 1, name=b"n" * 32) + rest
    )
    assert bad(head(7, 1, 1, target=b"") + rest)
    for text in (b"x" * 33, b"a\x1b[2J", b"a\nb", b"\x04", b"caf\xc3\xa9", b"\x7f"):
        assert bad(head(7, 1, 1, name=text) + rest), text
        assert bad(head(7, 1, 1, target=text) + rest), text
    long = head(7, 1, 1)[:-6] + b"\xff"
    assert bad(long) and bad(long + rest)


def test_too_long_a_manifest():
    body = head(7, 1, 1) + row(b"a.mpy", b"x")
    assert bad(body + bytes(9000))


def test_another_owner():
    other = bundle(seed=sha256(b"thief").digest())[0]
    assert m.well_formed(other)
    assert not ed25519.verify(PUBLIC, m.signed_text(other), other[-64:])
    assert sign(GOOD[:-64]) == GOOD

# Ed25519 against RFC 8032, 7.1, test 2; times of the board's own code.
# ruff: noqa: F821 (names of _common.py, which comes before)
from binascii import unhexlify

from l4mesh import ed25519

seed = unhexlify("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
public = unhexlify("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
want = unhexlify(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
d = {"ok": {}, "ms": {}}


def job(make):
    """(whole, longest step) in ms, and the result."""
    j = make()
    whole = longest = 0
    got = None
    while got is None:
        t = time.ticks_us()
        got = j.step()
        t = time.ticks_diff(time.ticks_us(), t)
        whole += t
        longest = max(longest, t)
    return whole / 1000, longest / 1000, got


rounds = max(1, N // 10)
sign = [job(lambda: ed25519.Sign(seed, public, b"\x72")) for _ in range(rounds)]
gc.collect()
check = [job(lambda: ed25519.Verify(public, b"\x72", want)) for _ in range(rounds)]
bad = job(lambda: ed25519.Verify(public, b"\x73", want))
d["ok"]["Ed25519 signs as RFC 8032"] = sign[0][2] == want
d["ok"]["Ed25519 verifies, and refuses"] = check[0][2] is True and bad[2] is False
d["ms"]["Ed25519 sign"] = min([x[0] for x in sign])
d["ms"]["Ed25519 verify"] = min([x[0] for x in check])
d["ms"]["Ed25519 longest step"] = max(min([x[1] for x in sign]), min([x[1] for x in check]))
print(repr(d))

# floor 2: values
# The curve of Ed25519: points, one inverse, one double multiplication, in slices. RAM: none kept.
"""Arithmetic on edwards25519 (RFC 8032, section 5.1) with Python's integers.

Points are extended (x, y, z, t = x*y/z); `combine` computes s*B + k*A in one pass of doublings:
k in signed windows of 5 bits (`windows`, `multiples`), s as a signed comb over the last 51 of
them (ed25519_table.py). Generators yield None after each small piece of work, at most 1/25 of
a verification. `% P` beats folding by 19 here: 1/6 slower on a PC, but 2.5 times less garbage.
Errors: none; `negated` and `multiples` return None for what is no point of a large order.
"""

from .compat import const
from .ed25519_table import BASE

_P = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED)
# twice the curve's d = -121665/121666, and a square root of -1
_D2 = const(0x2406D9DC56DFFCE7198E80F2EEF3D13000E0149A8283B156EBD69B9426B2F159)
_I = const(0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0)
# the order of the base point
L = 0x1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED


def _power(a):
    """Generator: a ** (2**252 - 3), which square roots and inverses are made of.

    The exponent's ones are doubled up, 1, 2, 4, 5 .. 250; the squarings run inside pow().
    """
    done = {1: a}
    ones = 1
    c = a
    for s in b"\x01\x02\x01\x05\x0a\x05\x19\x32\x19\x7d":
        c = pow(c, 1 << s, _P) * done[s] % _P
        ones += s
        done[ones] = c
        yield
    return pow(c, 4, _P) * a % _P


def encode(x, y, z):
    """Generator: the 32 bytes of a point."""
    # 1/z = z ** (p - 2), and p - 2 = 8 * (2**252 - 3) + 3
    r = yield from _power(z)
    r = pow(r, 8, _P) * pow(z, 3, _P)
    return (y * r % _P | (x * r % _P & 1) << 255).to_bytes(32, "little")


def _add(x, y, z, t, q):
    """Point (x, y, z, t) plus the prepared q; t comes and goes unreduced."""
    p = _P
    a = (y - x) * q[0]
    b = (y + x) * q[1]
    c = t % p * q[3]
    d = z * q[2]
    e = (b - a) % p
    f = (d - c) % p
    g = (d + c) % p
    h = (b + a) % p
    return e * f % p, g * h % p, f * g % p, e * h


def _prepare(x, y, z, t):
    """What `_add` wants of its second point: (y - x, y + x, 2z, 2dt)."""
    return y - x, y + x, 2 * z, t % _P * _D2 % _P


def _negative(q):
    return q[1], q[0], q[2], _P - q[3]


def windows(k):
    """Scalar k as 255 signed odd digits below 16, most of them 0, as indexes of `multiples`."""
    b = k.to_bytes(33, "little")
    digits = bytearray(255)
    carry = i = 0
    while i < 255:
        j = i >> 3
        x = ((b[j] | b[j + 1] << 8) >> (i & 7) & 31) + carry
        if x & 1:
            carry = x >> 4
            # 1, 3 .. 15 are 1 to 8; -15, -13 .. -1 are 9 to 16
            digits[i] = 1 + (x >> 1)
            i += 5
        else:
            i += 1
    return digits


def multiples(x, y):
    """Generator: the prepared 1, 3 .. 15 and -15 .. -1 times a point, or None if 8 times is 0."""
    point = (x, y, 1, x * y)
    ready = [_prepare(*point)]
    twice = _add(*point, ready[0])
    step = _prepare(*twice)
    # the points of order 1, 2, 4 and 8 are those with x = 0 in their fourfold
    if not _add(*twice, step)[0]:
        return None
    while len(ready) < 8:
        point = _add(*point, step)
        ready.append(_prepare(*point))
        if len(ready) & 1:
            yield
    return [None] + ready + [_negative(q) for q in reversed(ready)]


def _comb(b, i):
    """The prepared base point multiple for column i of the comb bytes b."""
    n = 0
    for tooth in (1, 2, 4, 8, 16):
        if b[i >> 3] >> (i & 7) & 1:
            n |= tooth
        i += 51
    # the last tooth is always +1 in the table: where it is not, take the mirror image
    at = (n if n & 16 else ~n) % 16 * 64
    x = int.from_bytes(BASE[at : at + 32], "little")
    y = int.from_bytes(BASE[at + 32 : at + 64], "little")
    q = _prepare(x, y, 1, x * y)
    return q if n & 16 else _negative(q)


def combine(s, digits, table):
    """Generator: s * base point + the point that digits and table stand for, as (x, y, z)."""
    # An odd s as 255 digits +1 or -1: a set bit of (s + 2**255 - 1) / 2 is +1. That number is
    # s >> 1 with bit 254 set, and L makes an even s odd without changing the point.
    b = bytearray(((s if s & 1 else s + L) >> 1).to_bytes(32, "little"))
    b[31] |= 64
    p = _P
    x = 0
    y = z = 1
    for i in range(len(digits) - 1, -1, -1):
        if not i & 7 or i < 51 and not i & 3:
            yield
        c = x * x
        d = y * y
        e = 2 * x * y % p
        g = (d - c) % p
        h = (-c - d) % p
        f = (g - 2 * z * z) % p
        x = e * f % p
        y = g * h % p
        z = f * g % p
        t = e * h
        if digits[i]:
            x, y, z, t = _add(x, y, z, t, table[digits[i]])
        if i < 51:
            x, y, z, t = _add(x, y, z, t, _comb(b, i))
    return x, y, z


def negated(pub):
    """Generator: (p - x, y) of the point that `pub` encodes, or None if it encodes none."""
    p = _P
    sign = pub[31] >> 7
    y = int.from_bytes(pub, "little") - (sign << 255)
    if y >= p:
        return None
    # x**2 = u/v; its root is u v**3 (u v**7) ** ((p - 5) / 8), or that times I (5.1.3)
    u = 2 * (y * y - 1) % p
    v = (_D2 * y * y + 2) % p
    w = u * pow(v, 3, p) % p
    x = yield from _power(w * pow(v, 4, p) % p)
    x = x * w % p
    if (v * x * x - u) % p:
        x = x * _I % p
        if (v * x * x - u) % p:
            return None
    # x = 0 with the sign set is wrong too, but every point with x = 0 has a small order
    return (p - x if x & 1 == sign else x), y

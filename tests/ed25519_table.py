"""Makes lib/l4mesh/ed25519_table.py: the multiples of the base point that signing needs.

Run `python tests/ed25519_table.py` to print the file; test_crypto_against_cryptography.py in
tests/host compares. Slow, simple, affine arithmetic straight from RFC 8032 section 5.1,
independent of the code that uses the table.
"""

TEETH = 5
GAP = 51
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
BASE_Y = 4 * pow(5, -1, P) % P

_HEAD = '''# floor 1: primitives
# The base point of Ed25519, in the multiples that the comb needs. RAM: 1 KiB of constants.
"""Made by tests/ed25519_table.py; do not edit.

Entry n of 16 is the point (2**204 + sum of s_j * 2**(51 * j), j = 0..3) * B, where s_j is +1 if
bit j of n is set, else -1: x and y, 32 bytes each, little endian.
"""

BASE = (
'''


def add(a, b):
    """Sum of two affine points (x, y) on -x^2 + y^2 = 1 + d x^2 y^2."""
    k = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P)
    return x % P, y % P


def base_point():
    """The point with y = 4/5 and even x."""
    xx = (BASE_Y * BASE_Y - 1) * pow(D * BASE_Y * BASE_Y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (P - x if x & 1 else x), BASE_Y


def table():
    """The 16 entries as 1024 bytes."""
    teeth = [base_point()]
    while len(teeth) < TEETH:
        point = teeth[-1]
        for _ in range(GAP):
            point = add(point, point)
        teeth.append(point)
    out = b""
    for n in range(1 << (TEETH - 1)):
        total = teeth[-1]
        for j in range(TEETH - 1):
            x, y = teeth[j]
            total = add(total, (x if n >> j & 1 else P - x, y))
        out += total[0].to_bytes(32, "little") + total[1].to_bytes(32, "little")
    return out


def source():
    """The text of the file."""
    data = table()
    lines = [data[i : i + 22] for i in range(0, len(data), 22)]
    rows = ['    b"' + "".join("\\x%02x" % c for c in line) + '"\n' for line in lines]
    return _HEAD + "".join(rows) + ")\n"


if __name__ == "__main__":
    print(source(), end="")

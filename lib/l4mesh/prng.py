# floor 1: primitives
# Seeded pseudo-random bits for jitter and simulations, never for secrets. RAM: two small ints.
"""XorShift: the same bits on every Python, from ints that never leave 16 bits.

Marsaglia's xorshift on two 16-bit words (shifts 5, 3, 1; period 2**32 - 1), made non-linear by
adding the words on the way out. No step needs more than 29 bits: no heap objects on a board.
"""


class XorShift:
    def __init__(self, seed: int):
        """`seed`: any int; its lowest 32 bits count."""
        # Two rounds of an invertible mix, so that seeds 1, 2, 3 .. do not start alike.
        x = seed & 0xFFFF
        y = (seed >> 16) & 0xFFFF
        for _ in range(2):
            x = (x * 4813 + y + 12345) & 0xFFFF
            y = (y * 7621 + (x ^ (x >> 7)) + 1) & 0xFFFF
        self._x = x
        self._y = y
        if not x | y:  # the one state that xorshift cannot leave
            self._y = 1
        for _ in range(8):
            self._step()

    def _step(self):
        t = self._x
        t = (t ^ (t << 5)) & 0xFFFF
        y = self._x = self._y
        self._y = y ^ (y >> 1) ^ t ^ (t >> 3)
        return (self._x + self._y) & 0xFFFF

    def getrandbits(self, k: int) -> int:
        """`k` random bits, 1 <= k <= 30, as an int below 2**k."""
        if k <= 16:
            return self._step() >> (16 - k)
        if k > 30:
            raise ValueError("getrandbits gives at most 30 bits; call it twice for more.")
        return (self._step() << (k - 16)) | (self._step() >> (32 - k))

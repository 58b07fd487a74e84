# floor 1: primitives
# All numbers below n, each once, in an order that is hard to foresee; no table. RAM: 3 ints.
"""order = Shuffled(n, rng); order.at(i) for i = 0 .. n - 1 gives each of 0 .. n - 1 once.

i * k + c modulo n, with k coprime to n (a linear congruence): enough to spread probes over ports,
no secret. n below 2**16, so that no product needs more than 2**30 (i is reduced first, k < 2**14).
"""


class Shuffled:
    def __init__(self, n: int, rng):
        if not 0 < n < 65536:
            raise ValueError("Shuffled takes 1 to 65535 numbers, not %d." % n)
        self._n = n
        self._c = rng.getrandbits(16) % n
        # From 1/8 of n up, so that neighbours come far apart.
        k = min(n // 8 + rng.getrandbits(12), 16000) | 1
        while _gcd(n, k) > 1:
            k += 2
        self._k = k

    def at(self, i: int) -> int:
        return (i % self._n * self._k + self._c) % self._n


def _gcd(a, b):
    while b:
        a, b = b, a % b
    return a

# floor 3: codecs
# A secret that two Ed25519 identities share and nobody else. RAM: 6 KiB while it runs.
"""Diffie-Hellman on the curve of Ed25519 (RFC 8032), for trading a ticket for keys (ticket.py).

    job = Shared(seed, pub)     pub: the other one's public key
    job.step()                  None while it works, then (and ever after) 32 bytes
                                b"": `pub` is no point of a large order

The secret is the y coordinate of a * B, with a the scalar of the seed (RFC 8032, 5.1.5) and B the
other public key; both sides get the same. X25519 (RFC 7748) of the same two keys gives
u = (1 + y) / (1 - y), which is how hosts compute it. It takes a board about half a second.
Errors: ValueError for a seed or key of a wrong length.
"""

from .ed25519_curve import L, combine, encode, multiples, negated, windows
from .sha512 import steps


def _shared(seed, pub):
    h = yield from steps(seed)
    a = bytearray(h[:32])
    a[0] &= 248
    a[31] = a[31] & 63 | 64
    point = yield from negated(pub)
    table = point and (yield from multiples(*point))
    if not table:
        return b""
    # -a * B has the same y. `pub` comes from the owner, so its order is L.
    x, y, z = yield from combine(0, windows(int.from_bytes(a, "little") % L), table)
    y = bytearray((yield from encode(x, y, z)))
    y[31] &= 127  # the sign of x
    return bytes(y)


class Shared:
    def __init__(self, seed, pub):
        if len(seed) != 32 or len(pub) != 32:
            raise ValueError("a seed and a public key are 32 bytes each; check what was passed")
        self._work = _shared(bytes(seed), bytes(pub))
        self._result = None

    def step(self):
        """Work a little: None, or the result once there is one."""
        if self._work:
            try:
                next(self._work)
            except StopIteration as e:
                self._work = None
                self._result = e.value
        return self._result

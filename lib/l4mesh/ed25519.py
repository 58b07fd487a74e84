# floor 3: codecs
# Ed25519 in small resumable steps. RAM: 6 KiB while a job runs (9 on 64-bit), none between jobs.
"""Ed25519 (RFC 8032, section 5.1) in plain Python, cut into steps.

A verification takes a board about half a second, so it is a job that a runner advances between
datagrams; a step is at most 1/25 of the whole:

    job = Verify(pub, msg, sig)         True or False: 72 steps for a record
    job = Sign(seed, pub, msg)          64 bytes: 49 steps
    job = PublicKey(seed)               32 bytes: 29 steps, a third of the work of a Verify
    job.step()                          None while it works, then (and ever after) the result

`verify`, `sign`, `public_key` and `run(job)` do it in one go. Keys are bytes: seed 32, public
key 32, signature 64; the job copies its arguments. `Sign` trusts `pub` to be the key of `seed`:
never pass one that came from elsewhere, two signatures would give the seed away.

Verification is strict, and any bytes are only ever False: wrong lengths, S >= L, y >= p, a point
off the curve, a public key of small order (all zeros is one). It is the equation without the
cofactor, R compared as bytes, so one signature has one encoding.

Not constant in time. Acceptable here: a node signs at most every 10 minutes, over a network
whose jitter is far above the differences, and whoever can measure a board's power holds the
board, and its seed with it. Do not use it where strangers share the processor.
"""

from .ed25519_curve import L, combine, encode, multiples, negated, windows
from .sha512 import steps


def _int(data):
    return int.from_bytes(data, "little")


def _hash(data):
    """Generator: SHA-512 as a scalar modulo L."""
    return _int((yield from steps(data))) % L


def _base(s):
    """Generator: s * base point, encoded."""
    x, y, z = yield from combine(s, bytes(51), None)
    return (yield from encode(x, y, z))


def _verify(pub, msg, sig):
    s = _int(sig[32:])
    if len(pub) != 32 or len(sig) != 64 or s >= L:
        return False
    point = yield from negated(pub)
    table = point and (yield from multiples(*point))
    if not table:
        return False
    k = yield from _hash(sig[:32] + pub + msg)
    x, y, z = yield from combine(s, windows(k), table)
    return (yield from encode(x, y, z)) == sig[:32]


def _expand(seed):
    """Generator: the secret scalar, and the prefix that makes nonces (5.1.5)."""
    h = yield from steps(seed)
    a = bytearray(h[:32])
    a[0] &= 248
    a[31] = a[31] & 63 | 64
    return _int(a), h[32:]


def _sign(seed, pub, msg):
    a, prefix = yield from _expand(seed)
    r = yield from _hash(prefix + msg)
    point = yield from _base(r)
    k = yield from _hash(point + pub + msg)
    return point + ((r + k * a) % L).to_bytes(32, "little")


def _public_key(seed):
    a, _ = yield from _expand(seed)
    return (yield from _base(a % L))


class _Job:
    def __init__(self, work):
        self._work = work
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


def _seed(seed):
    if len(seed) != 32:
        raise ValueError("an Ed25519 seed is 32 bytes; make one with entropy(32)")
    return bytes(seed)


def Verify(pub, msg, sig):
    """The job of verifying: True or False."""
    return _Job(_verify(bytes(pub), bytes(msg), bytes(sig)))


def Sign(seed, pub, msg):
    """The job of signing: 64 bytes."""
    return _Job(_sign(_seed(seed), bytes(pub), bytes(msg)))


def PublicKey(seed):
    """The job of making the public key: 32 bytes."""
    return _Job(_public_key(_seed(seed)))


def run(job):
    """Do the whole job at once; its result."""
    while True:
        result = job.step()
        if result is not None:
            return result


def verify(pub, msg, sig):
    """Whether `sig` is the signature of `msg` by `pub`. Any bytes; never raises."""
    return run(Verify(pub, msg, sig))


def sign(seed, msg):
    """The signature of `msg`, 64 bytes. `Sign` with the public key at hand is faster."""
    return run(Sign(seed, public_key(seed), msg))


def public_key(seed):
    """The public key of `seed`, 32 bytes."""
    return run(PublicKey(seed))

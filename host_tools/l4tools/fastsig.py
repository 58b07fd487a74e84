"""Ed25519 by OpenSSL, with the jobs of lib/l4mesh/ed25519.py: what hosts sign and verify with.

    job = Verify(pub, msg, sig)         True or False
    job = Sign(seed, pub, msg)          64 bytes
    job = PublicKey(seed)               32 bytes

`job.step()` gives the result at the first call: some 0.1 ms here, half a second on a board. It
accepts exactly what ed25519.py accepts, or the two worlds would disagree about a record. OpenSSL
takes public keys of small order and encodings of y that are not below p; both are refused here.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
# y of the eight points of small order; two points share one y, and differ in the sign bit.
_SMALL = frozenset((1, _P - 1, 0, _ORDER_8_Y, _P - _ORDER_8_Y))


def public_key(seed: bytes) -> bytes:
    """The public key of a seed, 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(_seed(seed)).public_key().public_bytes_raw()


def sign(seed: bytes, msg: bytes) -> bytes:
    """The signature of `msg`, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(_seed(seed)).sign(bytes(msg))


def verify(pub: bytes, msg: bytes, sig: bytes) -> bool:
    """Whether `sig` is the signature of `msg` by `pub`. Any bytes; never raises."""
    if len(pub) != 32 or len(sig) != 64 or int.from_bytes(sig[32:], "little") >= _L:
        return False
    y = int.from_bytes(pub, "little") & (1 << 255) - 1
    if y >= _P or y in _SMALL:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes(pub)).verify(bytes(sig), bytes(msg))
    except (InvalidSignature, ValueError):
        return False
    return True


class _Job:
    def __init__(self, work, *args):
        self._work, self._args = work, args
        self._result = None

    def step(self):
        """The result."""
        if self._work is not None:
            self._result = self._work(*self._args)
            self._work = None
        return self._result


def Verify(pub, msg, sig):
    """The job of verifying: True or False."""
    return _Job(verify, bytes(pub), bytes(msg), bytes(sig))


def Sign(seed, pub, msg):
    """The job of signing: 64 bytes. `pub` is not needed here; OpenSSL works it out."""
    return _Job(sign, _seed(seed), bytes(msg))


def PublicKey(seed):
    """The job of making the public key: 32 bytes."""
    return _Job(public_key, _seed(seed))


def run(job):
    """Do the whole job at once; its result."""
    return job.step()


def _seed(seed):
    if len(seed) != 32:
        raise ValueError("an Ed25519 seed is 32 bytes; make one with entropy(32)")
    return bytes(seed)

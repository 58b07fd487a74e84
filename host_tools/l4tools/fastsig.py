"""Ed25519 by OpenSSL, with the jobs of lib/l4mesh/ed25519.py: what hosts sign and verify with.

    job = Verify(pub, msg, sig)         True or False
    job = Sign(seed, pub, msg)          64 bytes
    job = PublicKey(seed)               32 bytes
    job = Shared(seed, pub)             32 bytes, b"" for what is no key (l4mesh/agree.py)

`job.step()` gives the result at the first call: some 0.1 ms here, half a second on a board. It
accepts exactly what ed25519.py accepts, or the two worlds would disagree about a record. OpenSSL
takes public keys of small order and encodings of y that are not below p; both are refused here.
"""

from hashlib import sha512

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
# y of the eight points of small order; two points share one y, and differ in the sign bit.
_SMALL = frozenset((1, _P - 1, 0, _ORDER_8_Y, _P - _ORDER_8_Y))
_D = -121665 * pow(121666, -1, _P) % _P


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


def shared(seed: bytes, pub: bytes) -> bytes:
    """The secret that the identities of `seed` and `pub` share; b"" when `pub` is no key.

    By X25519, whose scalar is a multiple of 8: a made-up `pub` learns nothing of the seed.
    """
    if len(_seed(seed)) != len(pub):
        raise ValueError("a public key is 32 bytes; check what was passed")
    y = int.from_bytes(pub, "little") & (1 << 255) - 1
    on_curve = pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) == 1
    if y >= _P or y in _SMALL or not on_curve:
        return b""
    key = X25519PrivateKey.from_private_bytes(sha512(seed).digest()[:32])
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    try:
        u = int.from_bytes(key.exchange(X25519PublicKey.from_public_bytes(_32(u))), "little")
    except ValueError:  # nothing but zeros
        return b""
    return _32((u - 1) * pow(u + 1, -1, _P) % _P)


def _32(number):
    return number.to_bytes(32, "little")


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


def Shared(seed, pub):
    """The job of agreeing on a secret: 32 bytes, or b""."""
    return _Job(shared, _seed(seed), bytes(pub))


def run(job):
    """Do the whole job at once; its result."""
    return job.step()


def _seed(seed):
    if len(seed) != 32:
        raise ValueError("an Ed25519 seed is 32 bytes; make one with entropy(32)")
    return bytes(seed)

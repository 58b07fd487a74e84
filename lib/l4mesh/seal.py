# floor 4: tables
# Sealing of payloads: AES-128-CTR in place, one key a frame. RAM: half a KiB while it runs.
"""Secrecy for a frame's payload (docs/protocol.md, section 2). Opening is sealing once more.

The key is HMAC-SHA256(seal key, header bytes 8 to 28)[:16]: source, destination, epoch and
counter, so no key stream is used twice and the counter block may start at 0. CTR (NIST SP
800-38A, 6.5) is made of ECB, all that stock boards offer. It hides and does not protect: the
tag, made after sealing and checked before opening, does that. Errors: none; an empty or
negative range is left alone.
"""

from .compat import aes_ecb, const
from .keys import hmac_sha256

_CHUNK = const(128)
_BLOCKS = const(8)


def ctr_xor(key, buf, off, end, block=0):
    """XOR buf[off:end] with the key stream of the 16-byte `key`; `block` is the first counter."""
    encrypt = aes_ecb(key)
    while off < end:
        n = min(_CHUNK, end - off)
        stream = encrypt(b"".join([(block + i).to_bytes(16, "big") for i in range(_BLOCKS)]))
        # as integers, for a XOR of 128 bytes without a loop
        x = int.from_bytes(stream[:n], "big") ^ int.from_bytes(buf[off : off + n], "big")
        buf[off : off + n] = x.to_bytes(n, "big")
        off += n
        block += _BLOCKS


def seal(seal_key, buf, head_off, off, end):
    """Seal or open buf[off:end] in place; the frame's header starts at `head_off`."""
    header = bytes(buf[head_off + 8 : head_off + 28])
    ctr_xor(hmac_sha256(seal_key, header)[:16], buf, off, end)

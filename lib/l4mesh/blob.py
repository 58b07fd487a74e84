# floor 5: machines
# Readings in a neighbour's custody: closed by their owner, opened by the authority. RAM: none.
"""A blob (docs/protocol.md 7) is the payload of a BATCH, its readings sealed, and a tag:

    origin id 16, queue id 8, first sequence 4, count 1, readings sealed, tag 16

Its keys are made of the owner's seal key, so only the owner and L1 have them. They and what is
made with them know nothing of frames: a blob may travel for days, in anybody's frames. The tag is
made first, over the clear text, and is the nonce of the sealing (SIV, RFC 5297): the same readings
give the same blob, after a restart, too, so a repeated one is known by its last 16 bytes, no key
stream is used for two texts, and no entropy is needed.

The upstream's word on it, for the owner, is an ACK payload with a tag of its own behind it.
"""

from .compat import const
from .keys import hkdf, hmac_sha256
from .seal import ctr_xor

BLOB_HEAD = const(29)
BLOB_TAG = const(16)
BLOB_MOST = const(1132)  # what a CARRY, with a cookie, has room for
BLOB_ROOM = const(1087)  # of it for readings
_USES = (b"l4-blob-tag-v1", b"l4-blob-seal-v1", b"l4-blob-ack-v1")


def keys_of(seal_key):
    """The keys of an owner's blobs: [tag, seal, acknowledgement]."""
    return [hkdf(seal_key, use) for use in _USES]


def close(keys, buf, off, end):
    """Make the BATCH payload buf[off:end] a blob, in place: -> its end."""
    tag = hmac_sha256(keys[0], memoryview(buf)[off:end])[:BLOB_TAG]
    _xor(keys, buf, off, end, tag)
    buf[end : end + BLOB_TAG] = tag
    return end + BLOB_TAG


def unclose(keys, buf, off, end):
    """Open the blob buf[off:end] in place: -> end of its readings, -1 when it is not genuine."""
    at = end - BLOB_TAG
    if at <= off + BLOB_HEAD:
        return -1
    _xor(keys, buf, off, at, bytes(buf[at:end]))
    tag = hmac_sha256(keys[0], memoryview(buf)[off:at])
    return at if _same(tag, buf, at) else -1


def _xor(keys, buf, off, end, tag):
    head = bytes(buf[off : off + BLOB_HEAD])
    ctr_xor(hmac_sha256(keys[1], head + tag)[:16], buf, off + BLOB_HEAD, end)


def _same(tag, buf, off):
    d = 0
    for i in range(BLOB_TAG):
        d |= tag[i] ^ buf[off + i]
    return d == 0


def ack_tag(keys, ack):
    """The 16 bytes behind an acknowledgement that is meant for the owner."""
    return hmac_sha256(keys[2], ack)[:BLOB_TAG]


def ack_good(keys, buf, off, end):
    """Is buf[off:end] an acknowledgement with its tag, by the authority?"""
    at = end - BLOB_TAG
    return at > off and _same(ack_tag(keys, memoryview(buf)[off:at]), buf, at)

# floor 3: codecs
# Names and keys made of other keys: HMAC, HKDF and what each is called. RAM: none.
"""The key derivations of docs/protocol.md, section 1. All results are bytes unless noted.

HMAC is RFC 2104, HKDF is RFC 5869 with SHA-256 and exactly one block of output (32 bytes).
These run when a peer or key is met, a few times a minute; the tag of each frame has prepared
pads of its own (mac.py). Errors: ValueError for a key, id or public key of a wrong length.
"""

import binascii
import hashlib

_SALT = b"l4mesh-v1"


def hmac_sha256(key, data):
    """HMAC-SHA256 of `data`, 32 bytes; a `key` above 64 bytes is hashed first."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    k = int.from_bytes(bytes(key) + bytes(64 - len(key)), "big")
    for pad in (b"\x36", b"\x5c"):
        # the padded key as one integer: a XOR of 64 bytes without a loop
        h = hashlib.sha256((k ^ int.from_bytes(pad * 64, "big")).to_bytes(64, "big"))
        h.update(data)
        data = h.digest()
    return data


def hkdf(key, info, salt=_SALT):
    """HKDF-SHA256 of `key` for the use `info`: the first 32 bytes."""
    return hmac_sha256(hmac_sha256(salt, key), bytes(info) + b"\x01")


def _sized(data, n):
    if len(data) != n:
        raise ValueError("this key or id has %d bytes; pass one of %d" % (len(data), n))
    return bytes(data)


def node_id(pub):
    """The 16-byte id of the node with this public key."""
    return hashlib.sha256(b"l4-id-v1" + _sized(pub, 32)).digest()[:16]


def network_id(owner_pub):
    """The 4-byte id of the network that this public key owns."""
    return hashlib.sha256(b"l4-net-v1" + _sized(owner_pub, 32)).digest()[:4]


def node_key(master, id16):
    """The key between the node `id16` and its upstream."""
    return hkdf(_sized(master, 32), b"l4-node-v1" + _sized(id16, 16))


def mac_key(key):
    """The tag key of a group key or node key."""
    return hkdf(_sized(key, 32), b"l4-mac-v1")


def seal_key(node_key):
    """The key that seals payloads under a node key."""
    return hkdf(_sized(node_key, 32), b"l4-seal-v1")


def mqtt_password(node_key):
    """The node's MQTT password: a str of 32 hex digits."""
    key = hkdf(_sized(node_key, 32), b"l4-mqtt-v1")
    return binascii.hexlify(key[:16]).decode()

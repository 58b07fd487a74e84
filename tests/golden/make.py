"""Writes tests/golden/*.hex: one frame of each type of docs/protocol.md 4, from fixed keys.

    python tests/golden/make.py

Made by hand from the tables of the protocol: of lib/l4mesh only AES and the curve run here. Run it
when the protocol changes and never else: these files are what other versions of this code, and
other implementations, are held to. A line is `name value`, all values in hex.
"""

import sys
from binascii import crc32
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "lib"))

from l4mesh import agree, ed25519  # noqa: E402
from l4mesh.compat import aes_ecb  # noqa: E402


def hmac(key, data):
    if len(key) > 64:
        key = sha256(key).digest()
    key = key + bytes(64 - len(key))
    inner = sha256(bytes(b ^ 0x36 for b in key) + data).digest()
    return sha256(bytes(b ^ 0x5C for b in key) + inner).digest()


def hkdf(key, info):
    return hmac(hmac(b"l4mesh-v1", key), info + b"\x01")


def n(value, size):
    return value.to_bytes(size, "big")


OWNER = ed25519.public_key(sha256(b"golden owner").digest())
NETWORK = sha256(b"l4-net-v1" + OWNER).digest()[:4]
MASTER = sha256(b"golden master").digest()
GROUP = sha256(b"golden group").digest()
SEED = sha256(b"golden node").digest()
PUBLIC = ed25519.public_key(SEED)
ID = sha256(b"l4-id-v1" + PUBLIC).digest()[:16]
PEER = sha256(b"golden peer").digest()[:16]
NODE_KEY = hkdf(MASTER, b"l4-node-v1" + ID)
COOKIE = sha256(b"golden cookie").digest()[:8]
LAN = bytes((192, 168, 1, 23)) + n(4104, 2)
SEEN = bytes((203, 0, 113, 7)) + n(40123, 2)
QUEUE = sha256(b"golden queue").digest()[:8]
TOKEN = n(0x01020304, 4)
ATTEMPT = sha256(b"golden attempt").digest()[:8]
NAT = b"\x05\x01\x01\x00" + n(40123, 2) + n(0, 2)  # symmetric, port after port
CHANNEL = sha256(b"golden channel").digest()[:8]


def record():
    body = b"R\x01" + NETWORK + n(3, 4) + n(2, 4) + PUBLIC + b"\x04" + n(3, 2)
    body += LAN + SEEN + bytes(8) + n(30, 2) + b"\x00"
    return body + ed25519.sign(SEED, b"l4-record-v1\x00" + body)


RECORD = record()
DATA = b"temperature=21.5 C"
READING = bytes((9 + len(DATA),)) + b"\x01" + n(1795000000000, 6) + n(2, 2) + DATA
HASH = sha256(RECORD).digest()[:8]
OWNER_SEED = sha256(b"golden owner").digest()
ORDER = sha256(b"golden order").digest()[:8]
RESTART = ORDER + b"\x02\x01" + bytes(4)
RESTART += ed25519.sign(OWNER_SEED, b"l4-do-v1\x00" + PEER + COOKIE + RESTART)


def xored(seal_key, header, text):
    """`text` sealed, or opened."""
    ecb = aes_ecb(hmac(seal_key, header[8:28])[:16])
    stream = b"".join(ecb(n(i, 16)) for i in range(len(text) // 16 + 1))
    return bytes(x ^ y for x, y in zip(text, stream, strict=False))


# A ticket of 2026-12-31 and what is traded for it, as they go between board and first tier.
L1_SEED = hkdf(MASTER, b"l4-tier-1-v1")
L1_PUBLIC = ed25519.public_key(L1_SEED)
L1_ID = sha256(b"l4-id-v1" + L1_PUBLIC).digest()[:16]
TICKET_ID = n(365 * 24, 3) + sha256(b"golden ticket").digest()[:5]
TICKET_SECRET = hkdf(MASTER, b"l4-ticket-v1" + TICKET_ID)
FILE = b"L4T\x01" + NETWORK + TICKET_ID + TICKET_SECRET + OWNER + L1_PUBLIC
FILE += n(crc32(FILE), 4)
NONCE = sha256(b"golden nonce").digest()[:16]
SHARED = ed25519.run(agree.Shared(SEED, L1_PUBLIC))
TICKET_KEY = hkdf(TICKET_SECRET + SHARED, b"l4-ticket-key-v1" + NONCE)


def by_ticket(kind, flags, src, dst, counter, payload):
    b = bytes((0xC4, kind, flags, 0)) + NETWORK + src[:8] + dst + n(3, 4) + n(counter, 4)
    b += xored(hkdf(TICKET_KEY, b"l4-seal-v1"), b, payload) if flags & 2 else payload
    return b + hmac(hkdf(TICKET_KEY, b"l4-mac-v1"), b)[:16]


ASK = by_ticket(17, 8, ID, bytes(4), 1, TICKET_ID + PUBLIC + NONCE + bytes(16))
GIVE = by_ticket(18, 10, L1_ID, ID[:4], 900, b"\x00" + NODE_KEY + b"\x05" + GROUP)
UPDATE = b"\x4d\x06\x00\x1f\x01new!"
MANIFEST = b"L4O\x01" + n(7, 4) + n(len(UPDATE), 4) + b"\x01\x18\x06\x01\x03any\x053.1.4"
MANIFEST += b"\x07app.mpy" + n(len(UPDATE), 3) + sha256(UPDATE).digest()
MANIFEST += ed25519.sign(OWNER_SEED, b"l4-ota-v1\x00" + sha256(MANIFEST).digest())
BUNDLE = sha256(MANIFEST).digest()[:16]


def blob(origin):
    """A reading of `origin`, as it gives it into custody; and the upstream's word on it."""
    seal_key = hkdf(hkdf(MASTER, b"l4-node-v1" + origin), b"l4-seal-v1")
    tag_key, key, ack_key = (
        hkdf(seal_key, b"l4-blob-%s-v1" % u) for u in (b"tag", b"seal", b"ack")
    )
    head = origin + QUEUE + n(41, 4) + b"\x01"
    tag = hmac(tag_key, head + READING)[:16]
    # xored() takes bytes 8 to 28 of a header: here all of head and tag make the key.
    ecb = aes_ecb(hmac(key, head + tag)[:16])
    stream = b"".join(ecb(n(i, 16)) for i in range(len(READING) // 16 + 1))
    sealed = bytes(x ^ y for x, y in zip(READING, stream, strict=False))
    word = origin + QUEUE + b"\x00\x01" + n(0, 4) + n(41, 4)
    return head + sealed + tag, word + hmac(ack_key, word)[:16]


BLOB, _ = blob(ID)
KEPT, WORD = blob(PEER)
RECEIPT = b"l4-receipt-v1\x00" + KEPT[:29] + sha256(KEPT).digest()
RECEIPT = sha256(KEPT).digest()[:16] + b"\x00" + PUBLIC + ed25519.sign(SEED, RECEIPT)
SAID = b"front door: open"
SAY = ed25519.sign(SEED, b"l4-say-v1\x00" + PEER[:8] + COOKIE + TOKEN + SAID)
# name: type, linked, sealed, cookie, payload in clear
FRAMES = {
    "hello": (1, 0, 0, b"", b"\x03\x02\x64\x00" + n(121, 2) + HASH + b"\x00"),
    "bye": (2, 0, 0, b"", b"\x01"),
    "cookie": (3, 0, 0, b"", n(77, 4) + COOKIE),
    "query": (4, 0, 0, COOKIE, TOKEN + PEER + b"\x01\x00"),
    "answer": (5, 0, 0, b"", TOKEN + b"\x00\x04\x02\xff\x07\x00" + n(29, 2) + n(4, 2) + RECORD),
    "ping": (6, 1, 0, b"", TOKEN + bytes(13)),
    "pong": (7, 1, 0, b"", TOKEN + b"\x02\xff\x00" + SEEN),
    "join": (8, 1, 1, COOKIE, ID + TOKEN + b"\x05\x00" + RECORD),
    "joined": (9, 1, 1, b"", TOKEN + b"\x00\x03" + SEEN + n(30, 2) + n(900, 2)
               + n(1795000000000, 6) + b"\x06" + GROUP),
    "batch": (10, 1, 1, b"", ID + QUEUE + n(41, 4) + b"\x01" + READING),
    "ack": (11, 1, 1, b"", ID + QUEUE + b"\x00\x01" + n(0, 4) + n(41, 4)),
    "keyreq": (12, 1, 1, b"", TOKEN + ID[:8]),
    "key": (13, 1, 1, b"", TOKEN + b"\x00" + ID + NODE_KEY + n(60, 2)),
    "nack": (14, 0, 0, b"", n(77, 4) + b"\x01\x05"),
    "info_req": (15, 0, 0, b"", TOKEN + b"\x01\x00" + bytes(394)),
    "info": (16, 0, 0, b"", TOKEN + b"\x01\x00\x01" + b'{"mode": "standard"}'),
    "ticket": (17, 1, 0, b"", TOKEN + ASK),
    "given": (18, 1, 0, b"", TOKEN + GIVE),
    "offer": (19, 0, 0, COOKIE, TOKEN + BUNDLE + MANIFEST[4:8] + n(len(MANIFEST), 2) + n(9, 4)
              + bytes(70)),
    "want": (20, 0, 0, b"", TOKEN + BUNDLE + b"\x01\x00" + n(5, 4) + n(1024, 2) + bytes(292)),
    "chunk": (21, 0, 0, b"", TOKEN + b"\x01\x00" + n(5, 4) + UPDATE[5:]),
    "do": (22, 1, 1, COOKIE, RESTART),
    "done": (23, 1, 1, b"", ORDER + b"\x02\x00" + n(3, 4)),
    "time": (24, 0, 0, b"", b"\x01" + n(513, 2) + n(1795000000000, 6) + n(2, 2) + n(0, 2)),
    "hand": (25, 0, 0, COOKIE, BLOB),
    "receipt": (26, 0, 0, b"", RECEIPT),
    "carry": (27, 1, 0, b"", ID + KEPT),
    "carried": (28, 0, 0, b"", ID + WORD),
    "sub": (29, 1, 1, b"", b"\x00" + n(0, 4) + b"\x02\x05alarm\x04bell"),
    "event": (30, 1, 1, b"", n(77, 4) + b"\x05alarm" + b"on"),
    "register": (31, 0, 0, COOKIE, TOKEN + NAT + LAN + n(42, 2) + b"\x00"),
    "registered": (32, 0, 0, b"", TOKEN + b"\x00" + SEEN + n(60, 2)),
    "connect": (33, 0, 0, b"", ATTEMPT + PEER[:8] + NAT + LAN + n(42, 2)),
    "punch": (34, 0, 0, b"", ATTEMPT + b"\x00\x01" + ID[:8] + SEEN + NAT + LAN + n(15, 2)),
    "punched": (35, 0, 0, b"", ATTEMPT + b"\x00\x01" + NAT),
    "probe": (36, 0, 0, b"", ATTEMPT + b"\x03" + PEER[:8] + b"\x02" + SEEN),
    "call": (37, 1, 0, COOKIE, TOKEN + b"\x01\x00" + PEER[:8]),
    "called": (38, 1, 0, b"", TOKEN + b"\x01\x00" + PEER[:8] + CHANNEL + n(600, 2) + n(1024, 2)),
    "say": (39, 0, 0, b"", b"\x02" + TOKEN + COOKIE + PUBLIC + SAY + SAID),
    "mail": (40, 0, 0, COOKIE, PEER[:8] + ID[:8] + TOKEN + n(60, 2) + SAID),
    "mailed": (41, 0, 0, b"", PEER[:8] + ID[:8] + TOKEN + b"\x00"),
    "filter": (42, 0, 0, COOKIE, b"\x01" + ATTEMPT + SEEN),
}  # fmt: skip


def frame(kind, linked, sealed, cookie, payload, counter):
    flags = linked | sealed << 1 | (4 if cookie else 0)
    dst = b"\xff" * 4 if kind in (1, 2) else PEER[:4]
    b = bytes((0xC4, kind, flags, 0 if linked else 5)) + NETWORK + ID[:8] + dst
    b += n(3, 4) + n(counter, 4) + cookie
    clear = 16 if kind == 8 else 0
    text = payload[clear:]
    if sealed:
        text = xored(hkdf(NODE_KEY, b"l4-seal-v1"), b, text)
    b += payload[:clear] + text
    return b + hmac(hkdf(NODE_KEY if linked else GROUP, b"l4-mac-v1"), b)[:16]


def main():
    keys = {
        "owner": OWNER, "network": NETWORK, "master": MASTER, "group": GROUP, "seed": SEED,
        "public": PUBLIC, "id": ID, "peer": PEER, "nodekey": NODE_KEY, "record": RECORD,
        "mqtt": hkdf(NODE_KEY, b"l4-mqtt-v1")[:16], "ticketfile": FILE, "nonce": NONCE,
        "l1seed": L1_SEED, "manifest": MANIFEST,
    }  # fmt: skip
    lines = [f"{name} {value.hex()}\n" for name, value in keys.items()]
    (HERE / "keys.hex").write_text("".join(lines))
    for name, (kind, linked, sealed, cookie, payload) in FRAMES.items():
        data = frame(kind, linked, sealed, cookie, payload, 99 + kind)
        text = f"frame {data.hex()}\ncookie {cookie.hex()}\npayload {payload.hex()}\n"
        (HERE / f"{name}.hex").write_text(text)


if __name__ == "__main__":
    main()

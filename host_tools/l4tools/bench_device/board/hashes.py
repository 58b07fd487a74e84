# SHA-256 against FIPS 180-2, tags of the mesh, an AES block; times.
# ruff: noqa: F821 (names of _common.py, which comes before)
from binascii import hexlify
from hashlib import sha256

d = {"ok": {}, "us": {}}
good = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
d["ok"]["SHA-256 is right"] = hexlify(sha256(b"abc").digest()) == good
b64, b1k = bytes(64), bytes(1024)
d["us"]["SHA-256 of 64 B"] = lowest(lambda: sha256(b64).digest(), 20)
d["us"]["SHA-256 of 1 KiB"] = lowest(lambda: sha256(b1k).digest(), 10)
try:
    try:
        from l4mesh.core import Mac
    except ImportError:
        from l4mesh.mac import Mac
    m = Mac(bytes(range(32)))
    d["tag"] = hexlify(m.tag(memoryview(b"what do ya want for nothing?"))).decode()
    q, a = memoryview(bytes(50)), memoryview(bytes(178))
    d["us"]["tag of a QUERY"] = lowest(lambda: m.tag(q), 10)
    d["us"]["tag of an ANSWER"] = lowest(lambda: m.tag(a), 10)
except Exception as e:
    d["no tag"] = repr(e)
try:
    from cryptolib import aes

    c = aes(bytes.fromhex("000102030405060708090a0b0c0d0e0f"), 1)
    p = bytes.fromhex("00112233445566778899aabbccddeeff")  # FIPS 197, C.1
    d["ok"]["AES is right"] = c.encrypt(p) == bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")
    d["us"]["AES block"] = lowest(lambda: c.encrypt(p), 20)
except ImportError as e:
    d["no aes"] = repr(e)
print(repr(d))

"""Writes tests/golden/advert.hex: Bluetooth advertisements of docs/protocol.md 11 from fixed keys.

    python tests/golden/make_advert.py

As make.py: by hand from the table, of lib/l4mesh only AES runs. A line is `name value` in hex.
"""

from make import GROUP, HERE, ID, LAN, aes_ecb, hkdf, hmac, n

ADDRESS = bytes.fromhex("2a9be4c0d117")  # non-resolvable: the two highest bits are 0
SALT = bytes.fromhex("5c07")
HASH = 0xA7


def advert(address, salt, seq, mode, endpoint, company=0xFFFF):
    e = aes_ecb(hkdf(GROUP, b"l4-ble-v1")[:16])
    ident = salt + bytes(e(salt + ID[:8] + bytes(5) + b"\x02"))[:4]
    p = bytes(e(address + ident + n(seq, 2) + b"\x00\x01"))
    text = bytes((0x10 | (mode ^ p[9]) & 15,)) + p[:2] + ident
    text += bytes(a ^ b for a, b in zip(endpoint, p[2:8], strict=True)) + n(seq, 2)
    text += bytes((HASH ^ p[8],))
    text += hmac(hkdf(GROUP, b"l4-ble-mac-v1"), address + text)[:6]
    return b"\x02\x01\x06\x1b\xff" + company.to_bytes(2, "little") + text


def main():
    lines = {
        "address": ADDRESS,
        "salt": SALT,
        "standard": advert(ADDRESS, SALT, 0x0102, 2, LAN),
        "offline": advert(ADDRESS, SALT, 0xFFFF, 4 | 1, bytes(6)),
        "company": advert(ADDRESS, SALT, 1, 8 | 3, LAN, 0x02E5),
    }
    text = "".join(f"{name} {value.hex()}\n" for name, value in lines.items())
    (HERE / "advert.hex").write_text(text)


if __name__ == "__main__":
    main()

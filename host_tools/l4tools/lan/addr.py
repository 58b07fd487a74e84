"""Virtual addresses: 6 bytes (IPv4 and port, big endian) and what they say.

LAN k is 10.77.k.0/24 (k >= 1). 10.77.0.0/24 is the Internet; the tiers live there at .1, .2, .3.
"""

import socket

from l4tools.errors import ToolError

NET = b"\x0a\x4d"
NOBODY = bytes(6)  # source of the hub's own frames


def pack(addr: bytes | str | tuple[str, int]) -> bytes:
    """6 bytes of `b"......"`, `"10.77.1.11:5000"` or `("10.77.1.11", 5000)`."""
    if isinstance(addr, (bytes, bytearray, memoryview)):
        if len(addr) != 6:
            raise ToolError("A virtual address has 6 bytes, not %d." % len(addr))
        return bytes(addr)
    host, port = addr.rsplit(":", 1) if isinstance(addr, str) else addr
    try:
        return socket.inet_pton(socket.AF_INET, host) + int(port).to_bytes(2, "big")
    except (OSError, ValueError, OverflowError):
        raise ToolError("%r is no address. Write it like 10.77.1.11:5000." % (addr,))


def pack_ip(ip: str) -> bytes:
    return pack((ip, 0))[:4]


def text(addr6: bytes) -> str:
    return "%d.%d.%d.%d:%d" % (*addr6[:4], addr6[4] << 8 | addr6[5])


def text_ip(addr: bytes) -> str:
    return "%d.%d.%d.%d" % tuple(addr[:4])


def lan_of(addr: bytes) -> int:
    """Number of the LAN, 0 for the Internet, -1 for what is not on the virtual network."""
    return addr[2] if addr[:2] == NET else -1


def kind(addr: bytes) -> str:
    """`l1`, `l2`, `l3`, `board` (in a LAN) or `host` (elsewhere on the Internet)."""
    if addr[2]:
        return "board"
    return "l%d" % addr[3] if 1 <= addr[3] <= 3 else "host"


def is_group(addr: bytes) -> bool:
    """Multicast, subnet broadcast or limited broadcast."""
    return addr[0] >= 224 or (addr[:2] == NET and addr[3] == 255)


def delay_class(a: bytes, b: bytes) -> str:
    """Name of the figure that delays a datagram between two virtual addresses."""
    if a[:4] == b[:4]:
        return "self"
    ka, kb = kind(a), kind(b)
    if ka == kb == "board":
        return "lan" if a[2] == b[2] else "p2p"
    if ka in ("board", "host") and kb in ("board", "host"):
        return "p2p"
    if ka in ("board", "host"):
        return kb
    if kb in ("board", "host"):
        return ka
    return max(ka, kb) + min(ka, kb)  # l3l2, l2l1, l3l1

"""The router in front of this machine, as the kernel has it.

gateway() -> 4 bytes, or None
"""

from pathlib import Path

_TABLE = Path("/proc/net/route")
_UP_AND_GATEWAY = 3


def gateway(table: Path = _TABLE) -> bytes | None:
    """That of the default route with the best metric. Linux only: None elsewhere."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return None
    found = []
    for row in rows:
        if len(row) < 8 or row[1] != "00000000" or row[7] != "00000000":
            continue
        if int(row[3], 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY:
            found.append((int(row[6]), int(row[2], 16).to_bytes(4, "little")))
    return min(found)[1] if found else None

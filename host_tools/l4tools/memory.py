"""Memory of this machine, as the participation modes ask for it."""

from pathlib import Path


def parse_meminfo(text: str) -> tuple[int, int]:
    """(total, available) in MiB from the text of /proc/meminfo; 0 for a line that is missing."""
    kib = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            kib[name] = int(words[0])
    return kib.get("MemTotal", 0) >> 10, kib.get("MemAvailable", 0) >> 10


def memory_mib() -> tuple[int, int]:
    """(total, available) MiB. Available counts what caches would give back, unlike free pages."""
    return parse_meminfo(Path("/proc/meminfo").read_text())

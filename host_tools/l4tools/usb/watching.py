"""Has a source file changed? By time and size, asked again and again: works on every system."""

import time
from pathlib import Path

QUIET_S = 0.3  # an editor writes several times; a change counts when it is over

Stamps = dict[str, tuple[int, int]]


def stamps(paths: list[Path]) -> Stamps:
    """{file: (time, size)} of files and of what is in folders."""
    out: Stamps = {}
    for path in paths:
        for p in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if "__pycache__" in p.parts or p.name.startswith("."):
                continue
            try:
                s = p.stat()
            except OSError:
                continue  # gone meanwhile
            if p.is_file():
                out[str(p)] = (s.st_mtime_ns, s.st_size)
    return out


def changed(paths: list[Path], before: Stamps, quiet_s: float = QUIET_S) -> bool:
    """True once something differs from `before` and has stayed as it is for `quiet_s`."""
    now = stamps(paths)
    if now == before:
        return False
    end = time.monotonic() + 20 * quiet_s
    while time.monotonic() < end:
        time.sleep(quiet_s)
        later = stamps(paths)
        if later == now:
            break
        now = later
    return now != before

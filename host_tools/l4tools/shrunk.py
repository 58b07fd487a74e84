"""The optimiser's result, kept in build/shrunk by content: its 2.6 s are paid once an edit.

small(files, users) -> what shrink.project(files, users) gives, for the firmware as images hold it.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from l4tools.paths import build_dir
from l4tools.shrink import Source, project


def _key(plain: dict[str, bytes], users: Sequence[str]) -> str:
    """Of the sources, of the optimiser itself, and of the Python whose parser it uses."""
    h = hashlib.sha256(sys.version.encode())
    for tool in sorted(Path(__file__).parent.glob("shrink*.py")):
        h.update(tool.read_bytes())
    for path, data in plain.items():  # in their order, too
        h.update(b"%s\0%d\0" % (path.encode(), len(data)) + data)
    for text in users:
        h.update(b"\0user\0%d\0" % len(text) + text.encode())
    return h.hexdigest()[:32]


def small(files: dict[str, Source], users: Sequence[str] = ()) -> dict[str, bytes]:
    """Optimised sources of `files`; what is not Python stays as it is.

    `users`: more source text, whose names have to go on working.
    """
    plain = {
        p: s.read_bytes() if isinstance(s, Path) else s.encode() if isinstance(s, str) else s
        for p, s in files.items()
    }
    kept = build_dir("shrunk") / (_key(plain, users) + ".json")
    try:
        texts = json.loads(kept.read_text("utf-8"))
        return {p: plain[p] if t is None else t.encode() for p, t in texts.items()}
    except (OSError, ValueError):
        pass  # not there yet
    out = project(plain, users)
    texts = {p: None if plain.get(p) == d else d.decode() for p, d in out.items()}
    with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False, encoding="utf-8") as f:
        json.dump(texts, f)
    os.replace(f.name, kept)
    return out

"""One part of the report in a process of its own: several labs side by side are done sooner.

`python -m l4tools.natlab.shard NAME {json}` runs parts.NAME(**json) and prints the trials as JSON;
what it says meanwhile goes to stderr.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from . import parts
from .space import die_with_parent
from .trials import Trial, plain


class Shard:
    """Started at once; result() waits for it."""

    def __init__(self, name: str, **options):
        self.child = subprocess.Popen(
            [sys.executable, "-m", "l4tools.natlab.shard", name, json.dumps(options)],
            stdout=subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip

    def result(self) -> list[Trial]:
        said, _ = self.child.communicate()
        if self.child.returncode:
            raise RuntimeError("a part of the report failed; it said why above")
        return [Trial(**doc) for doc in json.loads(said)]


def main() -> None:
    name, options = sys.argv[1], json.loads(sys.argv[2])
    note = lambda text: print("        %s: %s" % (name, text), file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="natlab-") as folder:
        work = getattr(parts, name)(folder=Path(folder), note=note, **options)
        print(json.dumps(plain(asyncio.run(work))))


if __name__ == "__main__":
    main()

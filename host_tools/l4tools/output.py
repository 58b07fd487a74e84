"""The one way to print. A command says what it found; this says it to a person or to a program.

    person, terminal      a table by rich
    person, pipe or file  the same as plain aligned lines
    program (--json)      one JSON document on stdout, nothing else

A command calls exactly one of `table`, `record` or `document`; `note` is for people only and goes
to stderr. Failures go to stderr: a sentence and the next step, or with --json
{"error": sentence, "next": step}. Bytes become hex. Text from other nodes can't steer a terminal:
whatever is not printable is shown as an escape.
"""

import json as _json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

# Exit codes, also in docs/cli.md. ToolError's subclasses carry theirs (errors.py).
OK, FAILED, USAGE, NOT_FOUND, UNAVAILABLE, REFUSED = range(6)

_SENTENCE_END = re.compile(r"(?<=[.!?)])\s+(?=[A-Z])")


class Out:
    """Prints for one run of one command."""

    def __init__(
        self,
        json: bool = False,
        verbose: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.json = json
        self.verbose = verbose
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.printed = False

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Sequence[str] | None = None,
        empty: str = "",
    ) -> None:
        """Rows with the same keys; JSON: a list of objects. `empty` is said if there are none."""
        if self.json:
            self._json(list(rows))
            return
        if not rows:
            self._line(empty)
            return
        names = list(columns or rows[0])
        self._grid([[cell(row.get(name)) for name in names] for row in rows], names)

    def record(self, fields: Mapping[str, Any], hide: Iterable[str] = ()) -> None:
        """One thing's fields, a line each; JSON: an object (with what is hidden from people)."""
        if self.json:
            self._json(dict(fields))
            return
        left_out = set(hide)
        flat = [(k, v) for k, v in _flatten(fields) if k not in left_out]
        self._grid([[k, cell(v)] for k, v in flat], None)

    def document(self, doc: Any, say: Callable[["Out"], None]) -> None:
        """For what is neither: JSON: `doc`; a person gets what `say(out)` prints with `line`."""
        if self.json:
            self._json(doc)
        else:
            say(self)

    def line(self, text: str = "") -> None:
        """A line for a person, only within `document`."""
        if self.json:
            raise RuntimeError("line() would spoil the JSON document; call it from document(say=)")
        self._line(clean(text))

    def note(self, text: str) -> None:
        """Advice to a person: stderr, nothing with --json (put it into the document as well)."""
        if not self.json:
            self._say(clean(text), self.stderr)

    def error(self, text: str, step: str = "", cause: BaseException | None = None) -> None:
        """A failure: `text` is a sentence and the next step, or `step` apart."""
        sentence, next_step = (text, step) if step else split_error(text)
        trace = "".join(traceback.format_exception(cause)) if cause and self.verbose else ""
        if self.json:
            doc = {"error": sentence, "next": next_step}
            if trace:
                doc["traceback"] = trace
            self._say(dumps(doc), self.stderr)
            return
        lines = [clean(trace, keep="\n").rstrip()] if trace else []
        lines.append("l4: " + clean(sentence))
        if next_step:
            lines.append("    " + clean(next_step))
        self._say("\n".join(lines), self.stderr)

    def finish(self) -> None:
        """At the end of a command that worked: with --json there is always one document."""
        if self.json and not self.printed:
            self._json({})

    def _json(self, doc: Any) -> None:
        if self.printed:
            raise RuntimeError("a command prints one JSON document; merge the two")
        self.printed = True
        self._say(dumps(doc), self.stdout)

    def _line(self, text: str) -> None:
        if text:
            self._say(text, self.stdout)

    def _grid(self, rows: list[list[str]], names: list[str] | None) -> None:
        if self.stdout.isatty():
            self._rich(rows, names)
            return
        lines = ([[name.upper() for name in names]] if names else []) + rows
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        self._say("\n".join(padded), self.stdout)

    @staticmethod
    def _say(text: str, file: TextIO) -> None:
        try:
            print(text, file=file, flush=True)
            return
        except BrokenPipeError:
            pass  # the reader has gone, as `| head` does: end quietly, also at the last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
        raise SystemExit(FAILED)

    def _rich(self, rows: list[list[str]], names: list[str] | None) -> None:
        # Imported late: rich takes longer to load than most commands run.
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD if names else None, show_header=bool(names), pad_edge=False)
        for i, name in enumerate(names or ["", ""]):
            table.add_column(name, style="bold" if i == 0 else None, overflow="fold")
        for row in rows:
            table.add_row(*[Text(text) for text in row])  # Text: no markup in what nodes say
        Console(file=self.stdout).print(table)


def dumps(doc: Any) -> str:
    """JSON of a document; bytes as hex, paths as text."""
    return _json.dumps(doc, default=_plain, ensure_ascii=False, indent=1)


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None or value == [] or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, list | tuple):
        return ", ".join(cell(v) for v in value)
    return clean(str(value))


def clean(text: str, keep: str = "") -> str:
    """`text` with everything escaped that a terminal might obey instead of showing."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def split_error(text: str) -> tuple[str, str]:
    """("first sentence", "the rest: the next step"); the rest may be empty."""
    first, *rest = _SENTENCE_END.split(text.strip(), maxsplit=1)
    return first, rest[0] if rest else ""


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key} ")
        else:
            yield prefix + str(key), value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here; convert it in the command")

"""What a fleet run has done, so that an interrupted one goes on: FILE.journal beside the file.

One JSON object a line, no secrets: {"at", "row" (the name), "board" (unique id), "state": "begun"
or "done", "node", ..}. The newest line about a row counts. A line is on disk before the board is
written, and again when it is done; half a line at the end (a crash) is ignored.
"""

import json
import os
import time
from typing import Any

from ..errors import ToolError
from .fleet import Fleet, Row


class Journal:
    def __init__(self, fleet: Fleet):
        self.path = fleet.path.with_name(fleet.path.name + ".journal")
        self._rows = {row.name: row for row in fleet.rows}
        self._said: dict[str, dict[str, Any]] = {}
        for line in self._lines():
            try:
                entry = json.loads(line)
                self._said[entry["row"]] = {**entry, "board": str(entry["board"])}
            except (ValueError, KeyError, TypeError):
                continue

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as e:
            raise ToolError(f"{self.path} could not be read ({e}). Check it, or move it away.")

    def state(self, row: Row) -> str:
        return self._said.get(row.name, {}).get("state", "")

    def of(self, row: Row) -> dict[str, Any]:
        return self._said.get(row.name, {})

    @property
    def left(self) -> list[Row]:
        return [row for row in self._rows.values() if self.state(row) != "done"]

    def row_for(self, board: str) -> Row | None:
        """The row for a board with this unique id; None: it is done. ToolError: there is none."""
        for row in self._rows.values():
            if row.board == board or (not row.board and self.of(row).get("board") == board):
                return None if self.state(row) == "done" else row
        for row in self._rows.values():
            if not row.board and not self.state(row):
                return row
        begun = [f"{r.name} ({self.of(r)['board']})" for r in self.left if self.state(r)]
        if begun:
            raise ToolError(
                f"No row is free for the board {board}: {', '.join(begun)} began on other boards. "
                f"Plug those in, or delete their lines in {self.path} if the boards are lost."
            )
        raise ToolError(
            f"The fleet file has no row for the board {board}. Add one with this id, or with a "
            "blank one, and sign the file again."
        )

    def add(self, row: Row, board: str, state: str, **more: Any) -> None:
        entry = {"at": int(time.time()), "row": row.name, "board": board, "state": state, **more}
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(fd, "r+b") as f:
                size = f.seek(0, 2)
                if size:
                    f.seek(size - 1)
                    if f.read(1) != b"\n":  # half a line of a run that was cut off
                        f.write(b"\n")
                f.write(json.dumps(entry).encode() + b"\n")
                f.flush()
                os.fsync(f.fileno())
        except OSError as e:
            raise ToolError(f"{self.path} could not be written ({e.strerror or e}).") from None
        self._said[row.name] = entry

"""A fleet file: one signed CSV says what each of many boards is to be.

    board,name,wifi1,password1,wifi2,password2,mode,set
    24:6f:28:aa:bb:cc,porch,House,a password,Barn,another one,,led_pin=2
    ,barn-1,Barn,another one,,,passive,

`board`: the unique id (MAC) of the board that this row is for; blank: the next one that comes.
`name`: each once. `wifiN`, `passwordN`: networks in order of liking, as many as there are columns
(at most 8). `set`: more settings, `key=value; key=value`. Other columns are settings.

The file holds passwords: mode 0600. Its signature is beside it, FILE.sig, one line:

    l4-fleet-v1 <owner's public key, 64 hex> <Ed25519 signature, 128 hex>

over b"l4-fleet-v1\\n", the network id (4 bytes) and all bytes of the file.
"""

import csv
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..errors import NotFound, Refused, ToolError
from ..network import Network
from .want import MOST_NETS, Want, parse_set

_TAG = "l4-fleet-v1"
_WIFI = re.compile(r"(wifi|password)([1-9])")
_MOST = 1 << 20


@dataclass
class Row:
    line: int
    board: str  # unique id in hex, or ""
    name: str
    want: Want


@dataclass
class Fleet:
    path: Path
    rows: list[Row]


def board_id(text: str) -> str:
    """A MAC or unique id in any spelling -> hex digits; ValueError says what is wrong."""
    plain = re.sub(r"[:\-. ]", "", text).lower()
    if not re.fullmatch(r"([0-9a-f]{2}){4,16}", plain):
        raise ValueError(f"{text!r} is no board id; write its MAC, like 24:6f:28:aa:bb:cc")
    return plain


def read(path: Path) -> bytes:
    try:
        with path.open("rb") as f:
            data = f.read(_MOST + 1)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}. Check the name.") from None
    except OSError as e:
        raise ToolError(f"{path} could not be read ({e.strerror or e}). Check its owner and mode.")
    if len(data) > _MOST:
        raise ToolError(f"{path} is larger than 1 MiB. Split it into several fleet files.")
    return data


def parse(data: bytes, path: Path, network: Network) -> list[Row]:
    """The rows, each checked as its board would check it; ToolError names line and column."""
    try:
        text = data.decode("utf-8-sig")  # spreadsheets put a mark in front
    except UnicodeDecodeError as e:
        raise ToolError(f"{path} is not UTF-8 ({e}). Export it from your program as UTF-8 CSV.")
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [h.strip().lower() for h in next(table, [])]
        _check_head(head, path)
        rows = [
            _row(path, table.line_num, dict(zip(head, cells, strict=False)), len(cells), network)
            for cells in table
            if any(c.strip() for c in cells)
        ]
    except csv.Error as e:
        raise ToolError(f"{path} line {table.line_num}: {e}. Export it again as CSV.") from None
    if not rows:
        raise ToolError(f"{path} has no rows. Write one a board under the line of column names.")
    for what in ("name", "board"):
        seen: dict[str, int] = {}
        for row in rows:
            value = getattr(row, what)
            if value and seen.setdefault(value, row.line) != row.line:
                raise ToolError(
                    f"{path} line {row.line}: {what} {value} is in line {seen[value]}, too. "
                    "Each may be there once."
                )
    return rows


def _check_head(head: list[str], path: Path) -> None:
    from l4mesh.config_check import checked

    known = {k for k, _ in checked({})} - {"wifi", "network"}
    if "name" not in head:
        raise ToolError(
            f"{path} has no column `name`. Its first line is like: "
            "board,name,wifi1,password1,mode,set"
        )
    for column in head:
        if column in known or column in ("board", "set", "") or _WIFI.fullmatch(column):
            continue
        raise ToolError(
            f"{path}: there is no column {column!r}. Columns are board, name, wifi1, password1, "
            "wifi2, .., set, and settings by their names."
        )
    twice = {c for c in head if c and head.count(c) > 1}
    if twice:
        raise ToolError(f"{path}: the column {min(twice)} is there twice. Remove one.")


def _row(path: Path, line: int, cells: dict[str, str], n: int, network: Network) -> Row:
    where = f"{path} line {line}"
    cells = {k: v if _WIFI.fullmatch(k) else v.strip() for k, v in cells.items()}
    try:
        if n > len(cells):
            raise ValueError(f"{n} values, but only {len(cells)} columns")
        board = board_id(cells["board"]) if cells.get("board") else ""
        name = cells.get("name", "")
        if not name:
            raise ValueError("the name is missing; it tells what was done already")
        settings: dict[str, Any] = {"name": name}
        for key, value in cells.items():
            if value and key not in ("", "board", "name", "set") and not _WIFI.fullmatch(key):
                settings.update(parse_set([f"{key}={value}"]))
        settings.update(parse_set([p for p in cells.get("set", "").split(";") if p.strip()]))
    except ValueError as e:
        raise ToolError(f"{where}: {e}. Correct it and sign the file again.") from None
    nets = []
    for i in range(1, MOST_NETS + 2):
        ssid, password = cells.get(f"wifi{i}", "").strip(), cells.get(f"password{i}", "")
        if password and not ssid:
            raise ToolError(f"{where}: password{i} has no wifi{i}. Correct it, and sign again.")
        if ssid:
            nets.append([ssid, password])
    if len(nets) > MOST_NETS:
        raise ToolError(f"{where}: more than {MOST_NETS} networks. Leave some out.")
    want = Want(settings, nets, only_wifi=True).check(network, where)
    return Row(line, board, name, want)


# -- signature -----------------------------------------------------------------------------------
def _signed(data: bytes, network_id: bytes) -> bytes:
    return _TAG.encode() + b"\n" + network_id + data


def signature_of(path: Path) -> Path:
    return path.with_name(path.name + ".sig")


def open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def sign(path: Path, network: Network) -> tuple[Path, list[Row], bool]:
    """Check and sign: (signature file, rows, was it readable by others?)."""
    data = read(path)
    rows = parse(data, path, network)
    others = open_to_others(path)
    try:
        path.chmod(0o600)
        key = Ed25519PrivateKey.from_private_bytes(network.owner_seed)
        text = "%s %s %s\n" % (
            _TAG,
            network.owner_public.hex(),
            key.sign(_signed(data, network.network_id)).hex(),
        )
        sig = signature_of(path)
        tmp = sig.with_name(sig.name + ".tmp")
        tmp.write_text(text)
        os.replace(tmp, sig)
    except OSError as e:
        raise ToolError(f"{path} could not be signed ({e.strerror or e}). Check the folder.")
    return sig, rows, others


def load(path: Path, network: Network) -> Fleet:
    """The rows of a file that this network's owner signed; Refused when it is not."""
    data = read(path)
    sig = signature_of(path)
    again = f"If you trust its contents, sign it: l4 provision sign {path}"
    try:
        tag, owner, signature = read(sig).decode("ascii", "replace").split()
        if tag != _TAG:
            raise ValueError
        key, seal = bytes.fromhex(owner), bytes.fromhex(signature)
    except NotFound:
        raise Refused(f"{path} is not signed: there is no {sig.name}. {again}") from None
    except ValueError:
        raise Refused(f"{sig} is no signature of a fleet file. {again}") from None
    if key != network.owner_public:
        raise Refused(
            f"{path} is signed by the owner of another network. Choose it with --network."
        )
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(seal, _signed(data, network.network_id))
    except InvalidSignature:
        raise Refused(f"{path} was changed after it was signed. {again}") from None
    return Fleet(path, parse(data, path, network))

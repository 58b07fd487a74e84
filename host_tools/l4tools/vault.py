"""One encrypted file: bytes in, bytes out, with a passphrase between.

The file is a JSON object; `data` is the secret, everything else is its header:

    {"version": 1, "kdf": {"name": "scrypt", "n": 32768, "r": 8, "p": 1, "salt": base64 16 B},
     "cipher": "AES-256-GCM", "nonce": base64 12 B, "data": base64 (ciphertext and 16 B tag)}

scrypt (RFC 7914) makes the key, so that guessing a passphrase costs 32 MiB and tens of ms a try.
AES-256-GCM (NIST SP 800-38D) covers the data and, as associated data, the header: no bit of the
file can be changed unnoticed. Salt and nonce are new at every write.

A write is atomic and durable: temporary file (mode 0600) beside the target, fsync, rename, fsync
of the folder. A reader sees the old file or the new one. Every failure is a ToolError.
"""

import base64
import json
import os
import secrets
import tempfile
import unicodedata
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from .errors import NotFound, Refused, ToolError

VERSION = 1
CIPHER = "AES-256-GCM"
KDF = {"name": "scrypt", "n": 2**15, "r": 8, "p": 1}
MAX_FILE = 1 << 20  # a bigger one is not ours; never read it whole


def write(path: Path, data: bytes, passphrase: str, new: bool = False) -> None:
    """Encrypt `data` into `path`. With `new`, an existing file is left alone and is an error."""
    header = {
        "version": VERSION,
        "kdf": {**KDF, "salt": _b64(secrets.token_bytes(16))},
        "cipher": CIPHER,
        "nonce": _b64(secrets.token_bytes(12)),
    }
    key = _key(check_passphrase(passphrase), header["kdf"])
    box = AESGCM(key).encrypt(_unb64(header["nonce"], 12), data, _associated(header))
    text = json.dumps({**header, "data": _b64(box)}, indent=1) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, text.encode(), new)
    except OSError as e:
        raise ToolError(
            f"{path} could not be written ({e.strerror or e}). Check the folder's rights and free "
            "space, or set L4_HOME to another folder."
        )


def read(path: Path, passphrase: str) -> bytes:
    """The secret bytes of `path`."""
    phrase = check_passphrase(passphrase)
    text = _load(path)
    try:
        envelope = json.loads(text)
        version = envelope["version"]
        if version != VERSION:
            raise ToolError(
                f"{path} has version {version!r}, this l4 reads version {VERSION}. "
                "Use the l4 that wrote it, or a newer one."
            )
        box = _unb64(envelope.pop("data"))
        nonce = _unb64(envelope["nonce"], 12)
        if envelope["cipher"] != CIPHER:
            raise ValueError("cipher")
        key = _key(phrase, envelope["kdf"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ToolError(
            f"{path} is damaged or was not written by l4. Restore it from a backup."
        ) from None
    try:
        return AESGCM(key).decrypt(nonce, box, _associated(envelope))
    except InvalidTag:
        raise Refused(
            f"The passphrase does not open {path}, or the file was changed. "
            "Try again; if you are sure of the passphrase, restore the file from a backup."
        ) from None


def check_passphrase(passphrase: str) -> bytes:
    """The passphrase as bytes: NFC (RFC 8265), so that every keyboard's accents agree."""
    if not passphrase.strip():
        raise ToolError("The passphrase is empty. Choose one of several words.")
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")


def _load(path: Path) -> str:
    try:
        with path.open("rb") as f:
            raw = f.read(MAX_FILE)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}. See what there is with: l4 network list")
    except OSError as e:
        raise ToolError(f"{path} could not be read ({e.strerror or e}). Check its owner and mode.")
    return raw.decode("utf-8", "replace")


def _key(phrase: bytes, kdf: dict) -> bytes:
    n, r, p = kdf["n"], kdf["r"], kdf["p"]
    # The bounds keep a forged header from asking for gigabytes or for next to no work.
    known = kdf["name"] == "scrypt" and r == 8 and n in (2**15, 2**16, 2**17, 2**18)
    if not known or p not in (1, 2, 4):
        raise ValueError("kdf")
    return Scrypt(salt=_unb64(kdf["salt"], 16), length=32, n=n, r=r, p=p).derive(phrase)


def _associated(header: dict) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _replace(path: Path, data: bytes, new: bool) -> None:
    fd, tmp = tempfile.mkstemp(prefix="." + path.name + ".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as f:  # mkstemp made it 0600
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        if new:
            _link(tmp, path)
        else:
            os.replace(tmp, path)
            tmp = None
    finally:
        if tmp:
            os.unlink(tmp)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _link(tmp: str, path: Path) -> None:
    try:
        os.link(tmp, path)  # unlike a rename, fails when somebody else was first
    except FileExistsError:
        raise ToolError(
            f"{path} exists already. Choose another name, or move that file away first."
        )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str, size: int | None = None) -> bytes:
    data = base64.b64decode(text, validate=True)
    if size is not None and len(data) != size:
        raise ValueError("length")
    return data

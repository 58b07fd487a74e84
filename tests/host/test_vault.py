"""vault.py: the encrypted file: secret, authenticated, atomic."""

import base64
import json
import os
import stat
import threading

import pytest
from l4tools import vault
from l4tools.errors import NotFound, Refused, ToolError

PHRASE = "four quite common words"
SECRET = b"the owner's keys"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "deep" / "er" / "x.l4net"
    vault.write(path, SECRET, PHRASE)
    return path


def change(path, **fields):
    envelope = json.loads(path.read_text())
    envelope.update(fields)
    path.write_text(json.dumps(envelope))


def test_round_trip(path):
    assert vault.read(path, PHRASE) == SECRET


def test_modes_keep_others_out(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_rewrite_tightens_the_mode_and_renews_salt_and_nonce(path):
    before = json.loads(path.read_text())
    path.chmod(0o644)
    vault.write(path, SECRET, PHRASE)
    after = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert before["kdf"]["salt"] != after["kdf"]["salt"]
    assert before["nonce"] != after["nonce"] and before["data"] != after["data"]


def test_envelope_is_as_documented(path):
    envelope = json.loads(path.read_text())
    assert sorted(envelope) == ["cipher", "data", "kdf", "nonce", "version"]
    kdf = envelope["kdf"]
    assert (kdf["name"], kdf["n"], kdf["r"], kdf["p"]) == ("scrypt", 2**15, 8, 1)
    assert len(base64.b64decode(kdf["salt"])) == 16
    assert len(base64.b64decode(envelope["data"])) == len(SECRET) + 16
    assert SECRET not in path.read_bytes()


def test_wrong_passphrase_is_refused_with_a_next_step(path):
    with pytest.raises(Refused, match=r"does not open .*Try again"):
        vault.read(path, PHRASE + "x")


def test_every_bit_counts(path):
    envelope = json.loads(path.read_text())
    whole = bytearray(base64.b64decode(envelope["data"]))
    for at in (0, len(SECRET) // 2, len(whole) - 1):
        bad = bytearray(whole)
        bad[at] ^= 1
        change(path, data=base64.b64encode(bad).decode())
        with pytest.raises(Refused):
            vault.read(path, PHRASE)
    change(path, data=base64.b64encode(whole).decode())
    assert vault.read(path, PHRASE) == SECRET


def test_the_header_is_authenticated(path):
    change(path, note="added by somebody")
    with pytest.raises(Refused):
        vault.read(path, PHRASE)


@pytest.mark.parametrize(
    "fields",
    [
        {"kdf": {"name": "scrypt", "n": 2**40, "r": 8, "p": 1, "salt": "A" * 24}},
        {"kdf": {"name": "scrypt", "n": 2, "r": 8, "p": 1, "salt": "A" * 24}},
        {"kdf": {"name": "pbkdf2"}},
        {"kdf": None},
        {"kdf": []},
        {"cipher": "none"},
        {"nonce": "AAAA"},
        {"nonce": 5},
        {"data": "not base64!"},
        {"data": None},
        {"data": "\u00e4"},
    ],
)
def test_a_damaged_envelope_is_a_sentence(path, fields):
    change(path, **fields)
    with pytest.raises(ToolError, match=r"is damaged .*Restore it from a backup"):
        vault.read(path, PHRASE)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50000, b"7"])
def test_any_other_file_is_a_sentence(path, raw):
    path.write_bytes(raw)
    with pytest.raises(ToolError, match="is damaged"):
        vault.read(path, PHRASE)


def test_truncation_anywhere_is_noticed(path):
    raw = path.read_bytes().rstrip()
    for n in range(0, len(raw), 41):
        path.write_bytes(raw[:n])
        with pytest.raises(ToolError):
            vault.read(path, PHRASE)


def test_a_newer_version_is_named(path):
    change(path, version=2)
    with pytest.raises(ToolError, match=r"has version 2"):
        vault.read(path, PHRASE)


@pytest.mark.parametrize("phrase", ["", " ", "\t\n"])
def test_empty_passphrases_are_refused(path, tmp_path, phrase):
    with pytest.raises(ToolError, match="empty"):
        vault.write(tmp_path / "new", SECRET, phrase)
    with pytest.raises(ToolError, match="empty"):
        vault.read(path, phrase)
    assert not (tmp_path / "new").exists()


def test_two_spellings_of_one_accent_are_one_passphrase(path):
    vault.write(path, SECRET, "caf\u00e9")
    assert vault.read(path, "cafe\u0301") == SECRET


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="l4 network list"):
        vault.read(tmp_path / "none", PHRASE)


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match=r"could not be written .*L4_HOME"):
        vault.write(tmp_path / "file" / "x", SECRET, PHRASE)


def test_new_never_replaces(path):
    before = path.read_bytes()
    with pytest.raises(ToolError, match="exists already"):
        vault.write(path, b"other", PHRASE, new=True)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_failing_write_leaves_the_old_file_and_no_litter(path, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolError, match="No space left"):
        vault.write(path, b"other", PHRASE)
    monkeypatch.undo()
    assert vault.read(path, PHRASE) == SECRET
    assert os.listdir(path.parent) == [path.name]


def in_threads(n, job):
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(job(i))) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_readers_see_the_old_or_the_new_file_while_others_write(path):
    written = {SECRET} | {b"version %d" % i for i in range(3)}

    def job(i):
        if i < 3:
            vault.write(path, b"version %d" % i, PHRASE)
            return SECRET
        return vault.read(path, PHRASE)

    seen = in_threads(6, job)
    assert len(seen) == 6 and set(seen) <= written
    assert vault.read(path, PHRASE) in written - {SECRET}
    assert os.listdir(path.parent) == [path.name]


def test_of_many_that_create_one_wins(tmp_path):
    path = tmp_path / "n"

    def job(i):
        try:
            vault.write(path, b"%d" % i, PHRASE, new=True)
            return b"%d" % i
        except ToolError:
            return None

    winners = [r for r in in_threads(6, job) if r is not None]
    assert len(winners) == 1 and vault.read(path, PHRASE) == winners[0]
    assert os.listdir(tmp_path) == ["n"]

"""Every verb: its help has an example that is one, and with --json it prints one document."""

import importlib
import json
import re

import pytest
import typer
from l4tools import cli

# The least that a verb takes; with an empty home each ends at once, well or with a sentence.
LEAST = {
    "backup": ["out", "--port", "/dev/none"],
    "bench": ["--port", "/dev/none"],
    "browse": ["--interface", "127.0.0.1", "--wait", "0.5", "--mode", "active"],
    "deploy": ["--port", "/dev/none"],
    "doctor": ["--port", "/dev/none"],
    "erase": ["--port", "/dev/none", "--yes"],
    "event": ["topic", "word"],
    "identify": ["--port", "/dev/none"],
    "log": ["--port", "/dev/none"],
    "lookup": ["l3"],
    "mesh": ["ps"],
    "monitor": ["--port", "/dev/none", "--seconds", "1"],
    "network": ["list"],
    "ota": ["status", "l3"],
    "path": ["l3"],
    "ping": ["l3"],
    "queue": ["abcd"],
    "remove-node": ["abcd", "--yes"],
    "restore": ["no-file", "--port", "/dev/none"],
    "trace": ["l3"],
    "why": ["l3"],
}


def leaves(name):
    """(words, command) of each command under a verb."""
    app = importlib.import_module("l4tools.commands." + name.replace("-", "_")).app
    todo = [([name], typer.main.get_command(app))]
    while todo:
        words, command = todo.pop()
        subs = getattr(command, "commands", {})
        todo += [([*words, sub], c) for sub, c in subs.items()]
        if not subs or getattr(command, "invoke_without_command", False):
            yield words, command


@pytest.mark.parametrize("name", cli.VERBS)
def test_each_command_has_help_with_an_example_that_parses(name, capsys):
    for words, command in leaves(name):
        assert cli.main([*words, "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        start = "l4 " + " ".join(words)
        assert text.startswith("Usage: " + start)
        assert "Example: " + start in text, (start, "has no example")
        told = "%s\n%s" % (command.help or "", command.epilog or "")
        options = set(re.findall(r"(?<!\S)--[a-z-]+", told.split("Example: ", 1)[1]))
        assert options <= {opt for p in command.params for opt in p.opts} | {"--json"}, told


@pytest.mark.parametrize("name", cli.VERBS)
def test_with_json_there_is_one_document_and_nothing_else(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("L4_PASSPHRASE", "four quite common words")
    monkeypatch.chdir(tmp_path)
    code = cli.main([name, *LEAST.get(name, []), "--json"])
    out, err = capsys.readouterr()
    if name == "doctor":  # its findings are the document
        assert code == 1 and err == "" and json.loads(out)["findings"]
    elif code == 0:
        assert err == "" and json.loads(out) == []
    else:
        said = json.loads(err)
        assert out == "" and said["error"] and said["next"], said
        assert code in (1, 3, 4) and "bug" not in said["error"]

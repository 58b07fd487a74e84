"""output.py: one way to print, for people and for programs."""

import io
import json
import os
import pty
import re

import pytest
from l4tools.output import Out, cell, clean, split_error


def make(**options):
    return Out(stdout=io.StringIO(), stderr=io.StringIO(), **options)


def on_terminal(say):
    """What `say(out)` writes to a real terminal of 80 columns."""
    master, slave = pty.openpty()
    try:
        with os.fdopen(slave, "w") as stdout:
            say(Out(stdout=stdout, stderr=io.StringIO()))
            stdout.flush()
            return re.sub(r"\x1b\[[0-9;]*m", "", os.read(master, 65536).decode())
    finally:
        os.close(master)


ROWS = [{"node": b"\x01\xab", "mode": "passive"}, {"node": b"\x02\xcd", "mode": None}]


def test_table_lines_up_when_not_a_terminal():
    out = make()
    out.table(ROWS)
    assert out.stdout.getvalue() == "NODE  MODE\n01ab  passive\n02cd  -\n"


def test_table_takes_the_columns_it_is_told():
    out = make()
    out.table(ROWS, columns=["mode"])
    assert out.stdout.getvalue() == "MODE\npassive\n-\n"


def test_table_json_is_a_list_of_all_fields():
    out = make(json=True)
    out.table(ROWS, columns=["mode"])
    assert json.loads(out.stdout.getvalue()) == [
        {"node": "01ab", "mode": "passive"},
        {"node": "02cd", "mode": None},
    ]


def test_empty_table_says_so_or_is_an_empty_list():
    person, program = make(), make(json=True)
    person.table([], empty="Nobody is here.")
    program.table([], empty="Nobody is here.")
    assert person.stdout.getvalue() == "Nobody is here.\n"
    assert json.loads(program.stdout.getvalue()) == []


def test_record_flattens_for_people_and_hides_what_is_for_programs():
    fields = {"id": "x", "tiers": {"L1": ["a", "b"], "L2": []}, "warning": "w"}
    person, program = make(), make(json=True)
    person.record(fields, hide=["warning"])
    program.record(fields, hide=["warning"])
    assert person.stdout.getvalue() == "id        x\ntiers L1  a, b\ntiers L2  -\n"
    assert json.loads(program.stdout.getvalue()) == fields


def test_terminal_gets_a_table_and_long_ids_whole():
    long_id = "0123456789abcdef" * 7
    text = on_terminal(lambda out: out.table([{"node": long_id, "note": "[bold]is kept[/bold]"}]))
    assert "node" in text and "NODE" not in text and "[bold]" in text
    assert long_id in "".join(line.split()[0] for line in text.splitlines() if line.strip())
    assert "…" not in text


def test_terminal_record_has_no_head():
    text = on_terminal(lambda out: out.record({"network": "c0ffee00"}))
    assert "network" in text and "c0ffee00" in text and len(text.strip().splitlines()) == 1


@pytest.mark.parametrize("evil", ["\x1b[2J", "a\rb", "\x9b31m", "\u202egnp.exe", "\x07", "a\nb"])
def test_text_of_others_cannot_steer_the_terminal(evil):
    assert clean(evil).isprintable() and cell(evil).isprintable()
    out = make()
    out.table([{"name": evil}])
    out.error(f"No node {evil}. Look again.")
    out.note(evil)
    out.document(None, lambda o: o.line(evil))
    assert evil not in out.stdout.getvalue() + out.stderr.getvalue()


def test_cells():
    assert [cell(v) for v in (True, False, 0, None, [], (1, b"\xff"))] == [
        "yes", "no", "0", "-", "-", "1, ff",
    ]  # fmt: skip


def test_json_has_one_document_and_nothing_else():
    out = make(json=True)
    out.note("for people")
    out.document({"a": 1}, lambda o: o.line("for people"))
    out.finish()
    assert json.loads(out.stdout.getvalue()) == {"a": 1}
    assert out.stderr.getvalue() == ""
    with pytest.raises(RuntimeError, match="one JSON document"):
        out.record({})
    with pytest.raises(RuntimeError, match="spoil"):
        out.line("x")


def test_json_is_never_empty():
    out = make(json=True)
    out.finish()
    assert json.loads(out.stdout.getvalue()) == {}


def test_json_refuses_what_it_cannot_say():
    with pytest.raises(TypeError, match="convert it"):
        make(json=True).record({"a": object()})


def test_error_for_people_and_programs():
    person, program = make(), make(json=True)
    for out in (person, program):
        out.error("No board was found on 1.2.3.4. Plug one in. Or pass --port.")
    assert person.stderr.getvalue() == (
        "l4: No board was found on 1.2.3.4.\n    Plug one in. Or pass --port.\n"
    )
    assert json.loads(program.stderr.getvalue()) == {
        "error": "No board was found on 1.2.3.4.",
        "next": "Plug one in. Or pass --port.",
    }
    assert person.stdout.getvalue() == program.stdout.getvalue() == ""


def test_error_keeps_the_traceback_only_when_verbose():
    try:
        raise KeyError("deep")
    except KeyError as e:
        cause = e
    quiet, loud, program = make(), make(verbose=True), make(verbose=True, json=True)
    for out in (quiet, loud, program):
        out.error("It broke. Mend it.", cause=cause)
    assert "Traceback" not in quiet.stderr.getvalue()
    assert "KeyError: 'deep'" in loud.stderr.getvalue()
    assert loud.stderr.getvalue().endswith("l4: It broke.\n    Mend it.\n")
    assert "KeyError: 'deep'" in json.loads(program.stderr.getvalue())["traceback"]


def test_split_error():
    assert split_error("One. Two. Three.") == ("One.", "Two. Three.")
    assert split_error("Only one") == ("Only one", "")
    assert split_error("File a.b.c is 1.5 MB. Use less.") == ("File a.b.c is 1.5 MB.", "Use less.")

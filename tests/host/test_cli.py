"""The `l4` command as scripts and people see it: documents, sentences, exit codes."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer
from l4tools import cli, errors
from l4tools.commands import verb
from l4tools.network import Network
from l4tools.session import Session

L4 = Path(sys.executable).with_name("l4")
PHRASE = "four quite common words"
PUBKEY = "11" * 32


@pytest.fixture
def l4(tmp_path, monkeypatch, capsys):
    """Runs `l4` in this process with an empty home: l4(*args) -> (code, stdout, stderr)."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("L4_HOME", raising=False)
    monkeypatch.setenv("L4_PASSPHRASE", PHRASE)

    def run(*args):
        code = cli.main(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".config" / "l4"


def made_of(folder, name="home"):
    return Network.load(folder / f"{name}.l4net", PHRASE)


def test_a_network_from_nothing(l4, folder):
    code, out, err = l4("network", "new", "home", "--upstream", "L3=192.0.2.7:4040", "--json")
    doc = json.loads(out)
    assert (code, err) == (0, "")
    made = made_of(folder)
    assert doc == {**made.public(), "file": str(folder / "home.l4net")}
    assert doc["tiers"]["L3"]["at"] == ["192.0.2.7:4040"]
    code, out, _ = l4("network", "list", "--json")
    assert code == 0
    assert [(r["name"], r["file"]) for r in json.loads(out)] == [
        ("home", str(folder / "home.l4net"))
    ]
    code, out, _ = l4("network", "show", "--json")
    assert code == 0 and json.loads(out) == made.public()


def test_people_get_lines_and_advice(l4, folder):
    code, out, err = l4("network", "new", "home")
    assert code == 0 and f"network        {made_of(folder).network_id.hex()}\n" in out
    assert "passphrase" in err and "passphrase" not in out
    code, out, err = l4("network", "show", "home")
    assert code == 0 and out.startswith("name           home\n") and err == ""
    code, out, err = l4("network", "list")
    assert code == 0 and out.splitlines()[0].split() == ["NAME", "CHANGED", "FILE"]


def test_show_never_shows_a_secret(l4, folder):
    l4("network", "new", "home")
    made = made_of(folder)
    keys = [made.owner_seed, made.master, made.group[1]]
    keys += [made.tier_identity(tier) for tier in (1, 2, 3)]
    for args in (["show"], ["show", "--json"], ["show", "-v"], ["list", "--json"]):
        code, out, err = l4("network", *args)
        assert code == 0 and out
        assert not any(key.hex() in out + err for key in keys)
        assert PHRASE not in out + err


def test_provision_gives_the_board_its_part_and_says_that_it_is_secret(l4, folder):
    l4("network", "new", "home")
    made = made_of(folder)
    code, out, err = l4("network", "provision", "home", PUBKEY, "--json")
    doc = json.loads(out)
    assert code == 0 and err == "" and "Secrets" in doc.pop("warning")
    assert len(bytes.fromhex(doc.pop("node"))) == 16
    assert doc == made.provision(bytes.fromhex(PUBKEY))
    code, out, err = l4("network", "provision", "home", PUBKEY)
    assert code == 0 and doc["nodekey"] in out and "Secrets" in err
    assert made.master.hex() not in out and made.owner_seed.hex() not in out


@pytest.mark.parametrize("key", ["", "11", "zz" * 32, "11" * 33])
def test_a_bad_public_key_is_a_usage_error(l4, key):
    l4("network", "new", "home")
    code, out, err = l4("network", "provision", "home", key)
    assert (code, out) == (2, "") and "64 hex digits" in err and "provision --help" in err


def test_an_empty_home_says_how_to_begin(l4):
    code, out, _ = l4("network", "list")
    assert code == 0 and "l4 network new NAME" in out
    assert l4("network", "list", "--json")[:2] == (0, "[]\n")
    code, out, err = l4("network", "show")
    assert (code, out) == (3, "") and "l4 network new NAME" in err


def test_a_network_is_never_overwritten(l4, folder):
    l4("network", "new", "home")
    before = (folder / "home.l4net").read_bytes()
    code, out, err = l4("network", "new", "home", "--json")
    assert (code, out) == (1, "") and "exists already" in json.loads(err)["error"]
    assert (folder / "home.l4net").read_bytes() == before


def test_several_networks_need_a_name(l4, folder):
    l4("network", "new", "a")
    l4("network", "new", "b")
    code, _, err = l4("network", "show")
    assert code == 1 and "--network NAME" in err
    for args in (["--network", "b", "network", "show"], ["network", "show", "--network=b"]):
        code, out, _ = l4("--json", *args)
        assert code == 0 and json.loads(out)["name"] == "b"
    assert l4("--network", "c", "network", "show")[0] == 3


def test_wrong_passphrase(l4, monkeypatch):
    l4("network", "new", "home")
    monkeypatch.setenv("L4_PASSPHRASE", "wrong")
    code, out, err = l4("network", "show", "--json")
    doc = json.loads(err)
    assert (code, out) == (5, "") and sorted(doc) == ["error", "next"]
    assert "passphrase" in doc["error"] and "Try again" in doc["next"]


def test_a_tampered_file(l4, folder):
    l4("network", "new", "home")
    path = folder / "home.l4net"
    envelope = json.loads(path.read_text())
    envelope["data"] = "AAAA" + envelope["data"][4:]
    path.write_text(json.dumps(envelope))
    code, out, err = l4("network", "show")
    assert (code, out) == (5, "") and "changed" in err and "backup" in err
    path.write_text("{}")
    code, out, err = l4("network", "show")
    assert (code, out) == (1, "") and "damaged" in err and "backup" in err


def test_passphrase_file_wins_and_only_its_first_line_counts(l4, tmp_path, monkeypatch):
    l4("network", "new", "home")
    monkeypatch.setenv("L4_PASSPHRASE", "wrong")
    secret = tmp_path / "secret"
    secret.write_bytes(PHRASE.encode() + b"\r\nsecond line\n")
    assert l4("network", "show", "--passphrase-file", str(secret))[0] == 0
    secret.write_text("\nnot here\n")
    code, _, err = l4("network", "show", "--passphrase-file", str(secret))
    assert code == 1 and "is empty" in err
    code, _, err = l4("network", "show", "--passphrase-file", str(tmp_path / "none"))
    assert code == 1 and "--passphrase-file" in err


def test_empty_passphrases_make_nothing(l4, folder, monkeypatch):
    for phrase in ("", "  "):
        monkeypatch.setenv("L4_PASSPHRASE", phrase)
        code, _, err = l4("network", "new", "home")
        assert code == 1 and "empty" in err and not folder.exists()


def test_without_passphrase_and_terminal_the_way_out_is_named(l4, folder, monkeypatch):
    monkeypatch.delenv("L4_PASSPHRASE")
    code, _, err = l4("network", "new", "home")
    assert code == 1 and "--passphrase-file" in err and not folder.exists()


@pytest.mark.parametrize(
    "args",
    [["nonsense"], ["network"], ["network", "nonsense"], ["network", "new"], ["--network"],
     ["network", "new", "a/b"], ["network", "new", "x", "--upstream", "L9=1"],
     ["network", "list", "extra"], ["network", "list", "--bad"]],
)  # fmt: skip
def test_usage_errors_are_code_2_with_a_next_step(l4, args):
    code, out, err = l4(*args)
    assert (code, out) == (2, "") and err.startswith("l4: ") and "--help" in err
    code, out, err = l4("--json", *args)
    assert (code, out) == (2, "") and "--help" in json.loads(err)["next"]


def test_a_typo_is_met_with_a_suggestion(l4):
    assert "'network'" in l4("netwrok")[2]


def test_help_is_complete_and_loads_no_verb(l4):
    code, out, _ = l4()
    assert code == 0 and out == l4("--help")[1] == l4("-h")[1]
    for word in ("--json", "--network NAME", "--passphrase-file FILE", "network"):
        assert word in out
    script = (
        "import sys; from l4tools import cli; cli.main(['--help']); "
        "print([m for m in sys.modules if m.startswith(('l4tools.commands.', 'cryptography', "
        "'rich'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_verbs_without_a_module_are_not_offered(l4, monkeypatch):
    monkeypatch.setitem(cli.VERBS, "levitate", "Not written yet.")
    assert "levitate" not in l4("--help")[1]
    assert l4("levitate")[0] == 2


def test_every_verb_offered_loads_and_explains_itself(l4):
    for name in cli.VERBS:
        if cli.importlib.util.find_spec("l4tools.commands." + name):
            code, out, _ = l4(name, "--help")
            assert code == 0 and out.startswith(f"Usage: l4 {name}")


def test_version(l4):
    assert l4("--version") == (0, "l4 " + cli.__version__ + "\n", "")
    assert json.loads(l4("--version", "--json")[1]) == {"version": cli.__version__}


def test_hoist_moves_global_options_only():
    words = ["x", "--json", "a", "--network", "n", "-v", "--passphrase-file=f", "--", "--json"]
    front, rest = cli.hoist(words)
    assert front == ["--json", "--network", "n", "-v", "--passphrase-file=f"]
    assert rest == ["x", "a", "--", "--json"]
    assert cli.hoist(["x", "--network"]) == (["--network"], ["x"])


@pytest.fixture
def probe(l4, monkeypatch):
    """Gives `l4 probe` a body: probe(function)(*args) runs it."""
    app = verb("A verb of this test.")
    module = types.ModuleType("l4tools.commands.probe")
    module.app = app
    module.__spec__ = cli.importlib.util.spec_from_loader(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.VERBS, "probe", "A verb of this test.")

    def with_body(body):
        app.registered_commands.clear()

        @app.command("probe")
        def command(ctx: typer.Context) -> int | None:
            session: Session = ctx.obj
            return body(session)

        return lambda *args: l4("probe", *args)

    return with_body


def raiser(error):
    def body(session):
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ToolError("It failed. Do this."), 1),
        (errors.NotFound("It failed. Do this."), 3),
        (errors.Unavailable("It failed. Do this."), 4),
        (errors.Refused("It failed. Do this."), 5),
    ],
)
def test_failures_have_their_codes(probe, error, code):
    run = probe(raiser(error))
    assert run() == (code, "", "l4: It failed.\n    Do this.\n")
    got, out, err = run("--json")
    assert (got, out) == (code, "")
    assert json.loads(err) == {"error": "It failed.", "next": "Do this."}
    assert "Traceback" not in run("-v")[2]


def test_a_failure_keeps_its_cause_for_those_who_ask(probe):
    def body(session):
        try:
            raise OSError("the wire is cut")
        except OSError as e:
            raise errors.Unavailable("Nobody is there. Look again.") from e

    run = probe(body)
    assert "wire" not in run()[2]
    assert "the wire is cut" in run("-v")[2]


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionRefusedError(111, "refused"), BrokenPipeError(32, "gone")]
)
def test_a_timeout_is_never_bare(probe, error):
    code, out, err = probe(raiser(error))("--json")
    doc = json.loads(err)
    assert (code, out) == (4, "") and "Nobody answered" in doc["error"] and "Check" in doc["next"]


@pytest.mark.parametrize("error", [RuntimeError("odd"), EOFError("odd"), ValueError("odd")])
def test_a_bug_says_how_to_see_it_and_shows_it(probe, error):
    run = probe(raiser(error))
    code, out, err = run()
    assert (code, out) == (1, "") and "odd" in err and "-v" in err and "Traceback" not in err
    code, _, err = run("-v")
    assert code == 1 and "Traceback" in err and "in body" in err
    _, _, err = run("-v", "--json")
    assert "in body" in json.loads(err)["traceback"]


def test_a_command_may_answer_and_still_say_no(probe):
    def body(session):
        session.out.record({"status": "unknown"})
        return 3

    code, out, err = probe(body)("--json")
    assert (code, json.loads(out), err) == (3, {"status": "unknown"}, "")


def test_a_silent_command_still_gives_a_document(probe):
    run = probe(lambda session: None)
    assert run() == (0, "", "")
    assert json.loads(run("--json")[1]) == {}


def test_stopping_is_code_130_or_a_sentence(probe):
    assert probe(raiser(KeyboardInterrupt()))()[0] == 130
    code, _, err = probe(raiser(typer.Abort()))()
    assert code == 1 and "Stopped" in err


def on_terminal(args, answers, env):
    """Runs the real `l4` on a terminal and types `answers`; (code, what the terminal showed)."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execve(L4, ["l4", *args], env)
        finally:
            os._exit(127)
    shown = b""
    answered = 0  # how much of `shown` was there when the last answer was typed
    left = list(answers)
    try:
        while select.select([master], [], [], 20)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if left and shown[answered:].endswith(b": "):
                answered = len(shown)
                os.write(master, left.pop(0).encode() + b"\n")
        else:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(master)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


@pytest.fixture
def env(tmp_path):
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }


def test_a_person_is_asked_twice_and_sees_no_passphrase(env, folder):
    code, shown = on_terminal(["network", "new", "home"], [PHRASE, PHRASE], env)
    assert code == 0 and made_of(folder).network_id.hex() in shown and PHRASE not in shown
    code, shown = on_terminal(["network", "show"], [PHRASE], env)
    assert code == 0 and made_of(folder).network_id.hex() in shown and PHRASE not in shown


def test_two_different_answers_make_nothing(env, folder):
    code, shown = on_terminal(["network", "new", "home"], [PHRASE, "else"], env)
    assert code == 1 and "differ" in shown and not folder.exists()


def test_the_installed_command(env):
    """The real thing, once: no terminal, an empty home, a pipe that closes early."""

    def run(*args, **more):
        return subprocess.run([L4, *args], capture_output=True, text=True, env={**env, **more})

    assert run("--help").returncode == 0
    done = run("network", "new", "home", "--json", L4_PASSPHRASE=PHRASE)
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["name"] == "home"
    done = run("network", "show", L4_PASSPHRASE="wrong")
    assert (done.returncode, done.stdout) == (5, "") and "passphrase" in done.stderr
    done = run("network", "show")
    assert done.returncode == 1 and "L4_PASSPHRASE" in done.stderr
    read, write = os.pipe()
    os.close(read)
    for more in ([], ["--json"]):
        args = [L4, "network", "list", *more]
        done = subprocess.run(args, stdout=write, stderr=subprocess.PIPE, env=env)
        assert (done.returncode, done.stderr) == (1, b"")
    os.close(write)

"""The house rules that a machine can check: floors, imports, sizes, and a test for each module."""

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FLOORS = {
    0: "language gap",
    1: "primitives",
    2: "values",
    3: "codecs",
    4: "tables",
    5: "machines",
    6: "ports text|pipeline",
    7: "node",
    8: "effects",
    9: "links|firmware",
    10: "firmware",
    11: "firmware",
    12: "firmware",
    13: "firmware",
}
CORE_IMPORTS = {"struct", "array", "binascii", "hashlib", "json", "gc"}
# compat.py bridges the two languages, so it may try what only one of them has.
COMPAT_IMPORTS = CORE_IMPORTS | {"micropython", "cryptolib", "cryptography"}
# Modules of lib/l4mesh that hold text only, and why no unit test is theirs.
NO_TEST = {
    "__init__": "the version and lazy names",
    "ports": "the text of the boundaries",
    "ed25519_table": "numbers; tests/host/test_crypto_against_cryptography.py makes them anew",
}
# A function of such a name makes what an attacker must not guess: no chance from rng there.
SECRET = re.compile(r"(make|new|fresh|rotate).*(key|seed|secret|cookie|nonce|salt)", re.I)
# Files where rng has no business at all.
NO_CHANCE = ("keys", "seal", "cookie", "keyring", "identity", "limits", "queue", "segments")


def device_files():
    return sorted(p for top in ("lib", "firmware") for p in (ROOT / top).rglob("*.py"))


def core_files():
    return sorted((ROOT / "lib" / "l4mesh").glob("*.py"))


def name_of(path):
    return str(path.relative_to(ROOT))


def tree_of(path):
    return ast.parse(path.read_text(), name_of(path))


def floor_of(path):
    """The number on line 1, or None when there is no such line."""
    lines = path.read_text().splitlines()
    found = re.fullmatch(r"# floor (\d+): (.+)", lines[0]) if lines else None
    if found and found[2] in FLOORS.get(int(found[1]), "").split("|"):
        return int(found[1])
    return None


def find(module):
    """The project's file behind a dotted module name of the device's import path, or None."""
    for top in ("lib", "firmware"):
        base = ROOT / top / module.replace(".", "/")
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def imports(path):
    """(line, dotted module) of each import; relative names made absolute, also inside functions.

    `from .x import y` gives x; `from . import y` gives y when y is a module.
    """
    package = path.parent.name
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            inside = [f"{module}.{alias.name}" for alias in node.names]
            modules = [name for name in inside if find(name)]
            yield from ((node.lineno, name) for name in modules or [module])


def functions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def bad_floors(path):
    own = floor_of(path)
    for line, module in imports(path):
        other = find(module)
        # A package's own __init__ is loaded anyway and may only hold lazy names.
        if other is None or other == path or module == "l4mesh":
            continue
        if own is None or floor_of(other) is None or floor_of(other) >= own:
            yield f"{name_of(path)}:{line} imports {module}, which is not on a lower floor"


def bad_core_imports(path):
    allowed = COMPAT_IMPORTS if path.stem == "compat" else CORE_IMPORTS
    for line, module in imports(path):
        top = module.split(".")[0]
        if top != "l4mesh" and top not in allowed:
            yield f"{name_of(path)}:{line} imports {module}; the core may not"


def bad_syntax(path, core):
    """What device code does without: bare except, match, walrus, and f-strings in the core."""
    for node in ast.walk(tree_of(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{where} bare except; write `except Exception`"
        if isinstance(node, ast.ExceptHandler) and getattr(node.type, "id", "") == "BaseException":
            yield f"{where} except BaseException swallows a cancel; write `except Exception`"
        if isinstance(node, ast.JoinedStr) and core:
            yield f"{where} f-string; write '%d' % x"
        if isinstance(node, ast.Match):
            yield f"{where} match"
        if isinstance(node, ast.arguments) and node.posonlyargs:
            yield f"{name_of(path)} positional-only arguments"


def bad_platform(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and node.attr == "platform":
            if isinstance(node.value, ast.Name) and node.value.id == "sys":
                yield f"{name_of(path)}:{node.lineno} asks for sys.platform"
        if isinstance(node, ast.ImportFrom) and node.module == "sys":
            if any(alias.name == "platform" for alias in node.names):
                yield f"{name_of(path)}:{node.lineno} asks for sys.platform"


def bad_chance(path):
    """rng within a function that also draws from entropy, or whose name promises a secret."""
    for function in functions(tree_of(path)):
        names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute)}
        drawn = {n for n in names if n in ("getrandbits", "randint", "random", "choice")}
        if drawn and (SECRET.search(function.name) or any("entropy" in n for n in names)):
            yield f"{name_of(path)}:{function.lineno} {function.name} draws secrets by chance"


def bad_sizes(path):
    lines = len(path.read_text().splitlines())
    if lines > 250:
        yield f"{name_of(path)} has {lines} lines; 250 is the most"
    for function in functions(tree_of(path)):
        length = function.end_lineno - function.lineno + 1
        if length > 60:
            yield f"{name_of(path)}:{function.lineno} {function.name} has {length} lines; 60"


def private_imports(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name[0] == "_" and alias.name[:2] != "__":
                    yield f"{name_of(path)}:{node.lineno} imports the private {alias.name}"


def all_of(check, paths, *args):
    return [text for path in paths for text in check(path, *args)]


def test_every_file_says_its_floor():
    missing = [name_of(p) for p in device_files() if floor_of(p) is None]
    assert device_files()
    assert missing == []


def test_floors_are_where_they_belong():
    for path in device_files():
        floor = floor_of(path)
        top = name_of(path).split("/")[1]
        if name_of(path).startswith("firmware/"):
            assert floor >= 8, name_of(path)
        elif top in ("l4mesh_io", "l4drivers"):
            assert floor in (8, 9), name_of(path)
        else:
            assert floor <= 7, name_of(path)


def test_imports_go_strictly_downward():
    assert all_of(bad_floors, device_files()) == []


def test_the_core_imports_nothing_with_effects():
    assert all_of(bad_core_imports, core_files()) == []


def test_device_code_keeps_to_what_micropython_has():
    core = set(core_files())
    assert [t for p in device_files() for t in bad_syntax(p, p in core)] == []


def test_only_the_platform_files_ask_for_the_platform():
    paths = [p for p in device_files() if "l4mesh_io" not in p.parts]
    paths += [p for p in (ROOT / "boards").rglob("*.py") if "UNIX" not in p.parts]
    assert all_of(bad_platform, paths) == []


def test_no_secret_is_drawn_by_chance():
    assert all_of(bad_chance, device_files()) == []
    for name in NO_CHANCE:
        path = ROOT / "lib" / "l4mesh" / f"{name}.py"
        assert not path.exists() or "getrandbits" not in path.read_text(), name


def test_files_and_functions_stay_small():
    assert all_of(bad_sizes, device_files()) == []
    lengths = [f.end_lineno - f.lineno + 1 for p in device_files() for f in functions(tree_of(p))]
    assert statistics.median(lengths) <= 20


def test_private_names_stay_in_their_file():
    paths = device_files() + sorted((ROOT / "tests" / "unit").glob("*.py"))
    assert all_of(private_imports, paths) == []


def test_each_core_module_has_its_unit_test():
    have = {p.stem[5:] for p in (ROOT / "tests" / "unit").glob("test_*.py")}
    need = {p.stem for p in core_files()} - set(NO_TEST)
    assert need - have == set()
    assert not set(NO_TEST) & have, "a module with a test needs no excuse"


def test_unit_tests_know_no_pytest():
    for path in sorted((ROOT / "tests" / "unit").glob("*.py")):
        assert not re.search(r"^\s*(import|from) pytest", path.read_text(), re.M), path.name


BAD = {
    "floor": (bad_floors, "# floor 2: values\nfrom l4mesh.ring import Ring\n"),
    "late floor": (
        bad_floors,
        "# floor 1: primitives\ndef f():\n    from l4mesh import config\n    return config\n",
    ),
    "socket": (bad_core_imports, "import socket\n"),
    "late socket": (bad_core_imports, "def f():\n    import socket as s\n    return s\n"),
    "bare except": (lambda p: bad_syntax(p, True), "try:\n    pass\nexcept:\n    pass\n"),
    "f-string": (lambda p: bad_syntax(p, True), "x = f'{1}'\n"),
    "platform": (bad_platform, "import sys\nx = sys.platform\n"),
    "platform by name": (bad_platform, "from sys import platform\n"),
    "chance": (bad_chance, "def make_cookie(rng):\n    return rng.getrandbits(30)\n"),
    "chance beside entropy": (
        bad_chance,
        "def f(self):\n    self.k = self.entropy(4) + bytes(self.rng.getrandbits(8))\n",
    ),
    "long file": (bad_sizes, "x = 1\n" * 251),
    "long function": (bad_sizes, "def f():\n" + "    x = 1\n" * 60),
    "private": (private_imports, "from l4mesh.ticks import _HALF\n"),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_the_checks_find_what_they_look_for(kind, tmp_path, monkeypatch):
    check, text = BAD[kind]
    path = tmp_path / "lib" / "l4mesh" / "made_up.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setattr(f"{__name__}.name_of", lambda p: p.name)
    assert list(check(path)), kind


def test_a_wrong_floor_line_is_seen(tmp_path):
    for text in (
        "",
        "# floor 13: x\n",
        "# floor 1: values\n",
        "# Floor 1: primitives\n",
        "x = 1\n",
    ):
        path = tmp_path / "x.py"
        path.write_text(text)
        assert floor_of(path) is None
    path.write_text("# floor 1: primitives\n")
    assert floor_of(path) == 1

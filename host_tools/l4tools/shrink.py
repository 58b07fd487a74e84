"""Make device code small before mpy-cross sees it; nothing of it shows in the sources.

    project(files) -> files         the same paths where they are needed, as bytes

A board pays heap for every name, module table and import binding. So, for the image only:

1. constants    a number that one module defines and others import becomes a literal everywhere
2. dead code    what no file of the project names is left out
3. bundles      the modules that every board loads become few files: no import tables between them
4. names        arguments that nobody passes by keyword, attributes, and what files have for
                themselves share few short names (a board stores every different name once, 16 to
                30 bytes)

A merged module that applications use (API) leaves a small file of its old name, so `from
l4mesh.endpoint import id_text` in app.py goes on working; it costs RAM only when it is imported.

Tracebacks of a board have no line numbers and short names for what is private. This puts the names
back, for sources that have not changed since: `python -m l4tools.shrink --explain < traceback`.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.shrink_bundle import Bundles, Stub
from l4tools.shrink_dead import drop_dead
from l4tools.shrink_fold import fold
from l4tools.shrink_names import CALLS, lead, shorten
from l4tools.shrink_scope import Module

Source = Path | bytes | str

# Read by name at boot, or edited by users: taken as they are.
AS_IS = ("boot.py", "main.py", "app.py")
# What applications import by name: only its imports change.
DRIVERS = "lib/l4drivers/"
_SUPERVISOR = "board console ondemand sensors supervisor"
_IO = "clock recorder address udp runner serial unload watchdog wifi store_fs"
_CORE = """compat ticks prng minutes endpoint ring backoff events config keys seal mac wire record
    counters limits routes peers keyring cookie tiers window modes_table modes segments queue sync
    sender guests gate own checker chooser reach member hello fetch lookups resolve serve learner
    late inbox node"""
# {bundle: modules that every board loads}; the others stay files of their own, loaded when needed.
BUNDLES = {
    "l4mesh.core": tuple("l4mesh." + n for n in _CORE.split()),
    "l4mesh.ed25519": tuple(
        "l4mesh." + n for n in ("sha512", "ed25519_table", "ed25519_curve", "ed25519")
    ),
    # What only a part of the start needs: unloaded after it, to leave room for the next.
    "l4config": ("l4mesh.config_check", "settings"),
    "l4mesh.identity": ("l4mesh_io.entropy", "l4mesh.identity"),
    "l4app": ("sensor_check", "start_app"),
    "supervisor": (*("l4mesh_io." + n for n in _IO.split()), *_SUPERVISOR.split()),
}
# Modules that applications, tools or late parts of the firmware import by their own name.
API = """l4mesh.counters l4mesh.endpoint l4mesh.events l4mesh.keys l4mesh.node l4mesh.record
    l4mesh.ticks l4mesh.wire l4mesh_io.clock console provision sensors settings""".split()
# What applications hold or tools call over USB: public methods of these stay, named or not; and
# what aioble calls (on_read).
KEEP = """Node Board Sensor Sensors Udp FileStore NvsStore Identity Config XorShift Mac Supervisor
    Ways give show open_store on_read""".split()
# What applications write: these keywords stay.
WRITTEN = "Sensor(name=0, unit=0, every_s=0, read=0, kind=0, band=0, total=0)"
# Updates leave these as they are (l4mesh/ota_manifest.py): both sides know their names for ever.
FIXED = ("safe_mode", "ota_boot")


def dotted(path: str) -> str:
    name = path.removeprefix("lib/").removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def _text(source: Source) -> str:
    if isinstance(source, Path):
        return source.read_text()
    return source.decode() if isinstance(source, bytes) else source


def _plain(source: Source) -> bytes:
    if isinstance(source, Path):
        return source.read_bytes()
    return source.encode() if isinstance(source, str) else source


def named(trees: Iterable[ast.AST]) -> set[str]:
    """Modules that these sources import by name."""
    out = set()
    for t in trees:
        for n in ast.walk(t):
            if isinstance(n, ast.Import):
                out |= {a.name for a in n.names}
            elif isinstance(n, ast.ImportFrom):
                out |= {n.module or "", *("%s.%s" % (n.module, a.name) for a in n.names)}
    return out


def project(
    files: dict[str, Source],
    users: Iterable[str] = (),
    bundles: dict[str, tuple[str, ...]] | None = None,
    steps: str = "fold dead bundle names share order",
    names: dict | None = None,
) -> dict[str, bytes]:
    """Optimised sources of the device code in `files`; what is not Python stays as it is.

    `users`: more source text whose names and keywords have to go on working (tests, an app.py).
    `names` takes {module: {class, or "" for the top level: {old name: new name}}}.
    """
    out: dict[str, bytes] = {}
    modules: dict[str, Module] = {}
    texts = [WRITTEN, *users]
    for path, source in files.items():
        if not path.endswith(".py") or path in AS_IS:
            out[path] = _plain(source)
            if path.endswith(".py"):
                texts.append(_text(source))
            continue
        try:
            m = Module(dotted(path), path, _text(source))
        except SyntaxError as e:
            raise ToolError("%s does not parse: %s. Correct it." % (path, e))
        modules[m.name] = m
    strip(modules.values())
    drivers = {n for n, m in modules.items() if m.path.startswith(DRIVERS)}
    trees = [ast.parse(t) for t in texts]
    values = fold(modules, trees, drivers) if "fold" in steps else {}
    # Drivers only get other imports: to the rest they are users.
    taking = [*trees, *(modules[n].tree for n in drivers)]
    if "dead" in steps:
        drop_dead({n: m for n, m in modules.items() if n not in drivers}, taking, KEEP)
    stubs: list[Stub] = []
    if "bundle" in steps:
        wanted = BUNDLES if bundles is None else bundles
        wanted = {b: [n for n in names if n in modules] for b, names in wanted.items()}
        work = Bundles(modules, {b: names for b, names in wanted.items() if names}, values)
        stubs = work.merge()
    renamed = {}
    if "names" in steps:
        mine = {n: m for n, m in modules.items() if n not in drivers}
        renamed = shorten(mine, taking, KEEP, FIXED, "share" in steps)
    if names is not None:
        names.update(renamed)
    wanted = set(API) | named(trees)
    for stub in stubs:
        if dotted(stub.path) in wanted:
            out[stub.path] = stub.source(renamed.get(stub.bundle, {}).get("", {}))
    for m in modules.values():
        if "order" in steps and m.name not in drivers:
            lead(m)
        out[m.path] = m.source().encode()
    return out


class _Strip(ast.NodeTransformer):
    """Without docstrings, annotations, and branches that a board never takes."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.returns = None
        return self._body(node)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_ClassDef(self, node):
        return self._body(self.generic_visit(node))

    visit_Module = visit_ClassDef

    def _body(self, node):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
        return node


# Always so on MicroPython 1.24 and later.
_TRUE = ("hasattr(time, 'ticks_ms')", "hasattr(time, 'ticks_us')")
_NONE = ("getattr(os, 'fsync', None)", "getattr(os, 'chmod', None)")


class _Never(ast.NodeTransformer):
    """Without what is done only if one of these names is something; each is None."""

    def __init__(self, names: set[str]):
        self._names = names

    def visit_If(self, node):
        self.generic_visit(node)
        parts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
        none = any(isinstance(p, ast.Name) and p.id in self._names for p in parts)
        if none and not isinstance(getattr(node.test, "op", None), ast.Or):
            return node.orelse or ast.Pass()
        return node


def strip(modules: Iterable[Module]) -> None:
    for m in modules:
        _Strip().visit(m.tree)
        new = []
        for s in m.tree.body:
            kinds = [h.type for h in s.handlers] if isinstance(s, ast.Try) else []
            if kinds and all(isinstance(k, ast.Name) and k.id == "ImportError" for k in kinds):
                new += s.body
            elif isinstance(s, ast.If) and ast.unparse(s.test) in _TRUE:
                new += s.body
            else:
                new.append(s)
        # The compiler knows const() by its bare name and never calls it.
        for s in new:
            if isinstance(s, ast.ImportFrom):
                s.names = [a for a in s.names if a.name != "const"]
        m.tree.body = [s for s in new if not isinstance(s, ast.ImportFrom) or s.names]
        assigned = [s for s in new if isinstance(s, ast.Assign)]
        _Never(
            {ast.unparse(s.targets[0]) for s in assigned if ast.unparse(s.value) in _NONE}
        ).visit(m.tree)


_FRAME = re.compile(r'(\s*File "(\w+)\.py", line \d+, in )(\S+)')


def explain(text: str, names: dict) -> str:
    """A board's traceback with the names of the sources. Several may have become one; the frame
    above says which of them it can be: it calls it.
    """
    calls = names.get(CALLS, {})
    out = []
    last: list[tuple[str, str]] = []
    for line in text.splitlines():
        m = _FRAME.match(line)
        if m:
            files = [c for n, c in names.items() if n.rpartition(".")[2] == m[2] and n != CALLS]
            every = [(c, old, new) for f in files for c, d in f.items() for old, new in d.items()]
            found = [(c, old) for c, old, new in every if new == m[3]]
            said = set().union(*(calls.get(f, ()) for f in last))
            mine = {c for c, _ in last}
            likely = [(c, o) for c, o in found if o in said and (o[0] != "_" or c in mine)]
            last = found = likely or [f for f in found if f[0] in mine] or found
            if len(found) == 1 or any(old != m[3] for _, old in found):
                line = m[1] + " or ".join((c + "." + old).lstrip(".") for c, old in found)
        out.append(line)
    return "\n".join(out)


def main() -> int:
    from l4tools.image import compile_mpy, project_files

    parse = argparse.ArgumentParser(prog="python -m l4tools.shrink", description=__doc__)
    parse.add_argument("--out", type=Path, help="write the optimised sources here")
    parse.add_argument("--explain", action="store_true", help="put names into a traceback (stdin)")
    args = parse.parse_args()
    files = project_files()
    if args.explain:
        names: dict = {}
        project(files, names=names)
        print(explain(sys.stdin.read(), names))
        return 0
    before = sum(len(compile_mpy(s, p.rpartition("/")[2])) for p, s in files.items())
    small = project(files)
    after = 0
    for path, data in sorted(small.items()):
        if args.out:
            target = args.out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        if not path.endswith(".py"):
            continue
        size = len(compile_mpy(data, path.rpartition("/")[2]))
        after += size
        print("%7d  %s" % (size, path))
    print("%7d  bytes of .mpy; %d without this step" % (after, before))
    return 0


if __name__ == "__main__":
    sys.exit(main())

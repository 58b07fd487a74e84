"""What one file takes from another gets a short name in both, one that is free in both.

`from l4mesh.core import keys_seal_key` becomes `from l4mesh.core import C`, with C for it from
there on; imported in a function, it goes on as the local it is there (locals have no names on a
board). Left alone: what applications, tests or a string name, what is taken through the module
(`safe_mode.begin()`), exceptions, and files that an update leaves as they are.
"""

import ast
from collections.abc import Iterable

from l4tools.shrink_scope import DEFS, FUNCTIONS, Globals, Module, imported, local_names


def is_exception(cls: ast.ClassDef) -> bool:
    """Its name is shown to people."""
    names = [ast.unparse(b) for b in cls.bases]
    return any(n.endswith(("Error", "Exception")) for n in names)


def definitions(m: Module) -> set[str]:
    """Functions, classes and variables of a file's own, at its top."""
    own = set()
    for s in m.tree.body:
        if isinstance(s, DEFS):
            own.add(s.name)
        elif isinstance(s, ast.ClassDef) and not is_exception(s):
            own.add(s.name)
        elif isinstance(s, ast.Assign) and not ast.unparse(s.value).startswith("const("):
            own |= {t.id for t in s.targets if isinstance(t, ast.Name)}
    return own


def seen(m: Module) -> set[str]:
    """Names that are something in a file already."""
    out = {n.id for n in ast.walk(m.tree) if isinstance(n, ast.Name)} | m.top()
    for fn in ast.walk(m.tree):
        if isinstance(fn, FUNCTIONS):
            out |= local_names(fn)
        elif isinstance(fn, ast.Global | ast.Nonlocal):
            out |= set(fn.names)
    return out


def rename_globals(m: Module, new: dict[str, str]) -> None:
    def use(node):
        at = node if isinstance(node, ast.Name) else node.value
        at.id = new.get(at.id, at.id)
        return node

    Globals(use, lambda n: new.get(n, n)).visit(m.tree)


def _imports(m: Module, modules: dict) -> list[tuple[ast.alias, str, str, bool]]:
    """(alias, module, name, in a function) of all that a file takes from the project."""
    inner = {
        id(s)
        for fn in ast.walk(m.tree)
        if isinstance(fn, FUNCTIONS)
        for s in ast.walk(fn)
        if isinstance(s, ast.Import | ast.ImportFrom)
    }
    return [
        (a, origin, name, id(s) in inner)
        for s in ast.walk(m.tree)
        for a, origin, name in imported(m, s, modules)
    ]


def share(
    modules: dict[str, Module], kept: set[str], fixed: Iterable[str], pool: list[str]
) -> dict[str, dict[str, str]]:
    """Rename what files take from each other; {module: {old: new}}. `kept`: names that stay;
    `fixed`: modules that stay as they are."""
    takes = {n: _imports(m, modules) for n, m in modules.items()}
    whole = {origin for rows in takes.values() for _, origin, name, _ in rows if not name}
    used = {n: seen(m) for n, m in modules.items()}
    strings = {
        n.value
        for m in modules.values()
        for n in ast.walk(m.tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    out: dict[str, dict[str, str]] = {}
    for n, m in sorted(modules.items()):
        if n in fixed or n in whole:
            continue
        out[n] = {}
        for name in sorted(definitions(m) - kept - strings):
            users = {k for k, rows in takes.items() if any(r[1:3] == (n, name) for r in rows)}
            if not users or users & set(fixed):
                continue
            busy = used[n].union(*(used[k] for k in users))
            short = next((p for p in pool if p not in busy), name)
            out[n][name] = short
            for k in (n, *users):
                used[k].add(short)
    for n, m in modules.items():
        new = dict(out.get(n, {}))
        for a, origin, name, inner in takes[n]:
            short = out.get(origin, {}).get(name)
            if short is None:
                continue
            here = a.asname or a.name
            stays = inner or here in kept  # a test may replace it
            a.name, a.asname = short, here if stays else None
            if not stays:
                new[here] = short
        rename_globals(m, new)
    return out

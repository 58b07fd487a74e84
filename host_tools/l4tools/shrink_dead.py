"""Leave out what no file of the project names: functions, methods, classes, values, imports.

An identifier counts as used when it stands anywhere (as a name, an attribute, an imported name or
a string) outside its own definition. That keeps a little too much, never too little.
"""

import ast
from collections import Counter
from collections.abc import Iterable

from l4tools.shrink_fold import unused_imports
from l4tools.shrink_scope import Module

_DEF = ast.FunctionDef | ast.ClassDef


def mentions(tree: ast.AST) -> Counter:
    """How often each identifier is mentioned other than by being defined."""
    c: Counter = Counter()
    for n in ast.walk(tree):
        if isinstance(n, ast.Name):
            c[n.id] += isinstance(n.ctx, ast.Load)
        elif isinstance(n, ast.Attribute):
            c[n.attr] += 1
        elif isinstance(n, ast.alias):
            c[n.name] += 1
        elif isinstance(n, ast.keyword) and n.arg:
            c[n.arg] += 1
        elif isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.isidentifier():
            c[n.value] += 1
    return c


def _pure(node: ast.AST) -> bool:
    """Can this value be left out without anything else changing?"""
    if isinstance(node, ast.Call):
        names = ("const", "bytes", "getattr")
        return isinstance(node.func, ast.Name) and node.func.id in names
    return isinstance(node, ast.Constant | ast.Tuple | ast.BinOp | ast.UnaryOp | ast.Name)


def _special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _sweep(block: list, used: Counter, keep: list, in_class: str = "") -> tuple[list, int]:
    """`block` without its dead definitions, and how many there were."""
    kept, gone = [], 0
    for s in block:
        name = ""
        if isinstance(s, _DEF):
            name = s.name
            own = mentions(s)[name]  # recursion is no use
        elif isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and _pure(s.value):
            name, own = s.targets[0].id, 0
        safe = _special(name) or (in_class in keep and not name.startswith("_"))
        if name and not safe and used[name] <= own:
            gone += 1
            continue
        if isinstance(s, ast.ClassDef):
            s.body, n = _sweep(s.body, used, keep, s.name)
            s.body = s.body or [ast.Pass()]
            gone += n
        kept.append(s)
    return kept, gone


def drop_dead(modules: dict[str, Module], users: Iterable[ast.AST], keep: list) -> int:
    """Sweep until nothing more falls; how many definitions fell."""
    outside: Counter = Counter()
    for tree in users:
        outside += mentions(tree)
    outside.update(dict.fromkeys(keep, 1))
    total = 0
    counts: dict[str, Counter] = {}
    changed = set(modules)
    while changed:
        for name in changed:
            unused_imports(modules[name])
            counts[name] = mentions(modules[name].tree)
        used = Counter(outside)
        for count in counts.values():
            used.update(count)
        changed = set()
        for name, m in modules.items():
            m.tree.body, gone = _sweep(m.tree.body, used, keep)
            total += gone
            if gone:
                changed.add(name)
    return total

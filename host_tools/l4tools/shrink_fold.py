"""Constants across modules: `NAME = const(7)` here, `from .here import NAME` there, 7 in the code.

A name counts as a constant when its module binds it once, at the top, in capitals, to an int that
needs no heap on a board (below 2**30). mpy-cross folds what is private and used in one file by
itself; larger numbers are left to it.
"""

import ast
from collections.abc import Iterable

from l4tools.shrink_scope import Globals, Module, imported

_TOP = 1 << 30
_OPS = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.BitOr: lambda a, b: a | b, ast.BitAnd: lambda a, b: a & b, ast.BitXor: lambda a, b: a ^ b,
    ast.LShift: lambda a, b: a << b, ast.RShift: lambda a, b: a >> b,
    ast.FloorDiv: lambda a, b: a // b, ast.Mod: lambda a, b: a % b,
}  # fmt: skip


def number(node: ast.AST, names: dict[str, int]) -> int | None:
    """The int an expression stands for, or None."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const":
        return number(node.args[0], names)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        v = number(node.operand, names)
        return None if v is None else -v if isinstance(node.op, ast.USub) else ~v
    if isinstance(node, ast.BinOp) and type(node.op) in _OPS:
        a, b = number(node.left, names), number(node.right, names)
        if a is None or b is None or (b == 0 and isinstance(node.op, ast.FloorDiv | ast.Mod)):
            return None
        return _OPS[type(node.op)](a, b)
    return None


def _stores(m: Module) -> dict[str, int]:
    """How often each global name of a module is bound anywhere in it."""
    count: dict[str, int] = {}

    def define(name):
        count[name] = count.get(name, 0) + 1
        return name

    Globals(lambda node: node, define).visit(m.tree)
    return count


def _imports(m: Module, modules: dict) -> dict[str, tuple[str, str]]:
    """{local name: (module, name)} of every import from the project, in functions too."""
    names = {}
    for node in ast.walk(m.tree):
        for a, origin, name in imported(m, node, modules):
            names[a.asname or a.name] = (origin, name)
    return names


def _collect(modules: dict[str, Module]) -> dict[str, dict[str, int]]:
    """{module: {name: value}}, from the bottom of the import graph up until nothing is new."""
    values: dict[str, dict[str, int]] = {n: {} for n in modules}
    stores = {n: _stores(m) for n, m in modules.items()}
    imports = {n: _imports(m, modules) for n, m in modules.items()}
    new = True
    while new:
        new = False
        for n, m in modules.items():
            seen = dict(values[n])
            for local, (origin, name) in imports[n].items():
                if name in values[origin]:
                    seen[local] = values[origin][name]
            for s in m.tree.body:
                if not (isinstance(s, ast.Assign) and len(s.targets) == 1):
                    continue
                t = s.targets[0]
                if not isinstance(t, ast.Name) or not t.id.isupper() or t.id in values[n]:
                    continue
                v = number(s.value, seen)
                if v is not None and -_TOP < v < _TOP and stores[n].get(t.id) == 1:
                    values[n][t.id] = seen[t.id] = v
                    new = True
    return values


class _Arithmetic(ast.NodeTransformer):
    """`1 | 4` to 5: mpy-cross would do it too, but stubs and readers see the result."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        v = number(node, {})
        return ast.Constant(v) if v is not None and 0 <= v < _TOP else node


def _unimport(m: Module, modules: dict, values: dict) -> None:
    """Drop the imports of constants, wherever they stand."""
    for node in ast.walk(m.tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue
            kept = []
            for s in block:
                if isinstance(s, ast.ImportFrom):
                    gone = [a for a, o, n in imported(m, s, modules) if n in values.get(o, ())]
                    s.names = [a for a in s.names if a not in gone]
                    if not s.names:
                        continue
                kept.append(s)
            must = field != "orelse" and not isinstance(node, ast.Module)
            block[:] = kept or ([ast.Pass()] if block and must else [])


def fold(
    modules: dict[str, Module], users: list[ast.AST] = (), public: Iterable[str] = ()
) -> dict[str, dict[str, int]]:
    """Rewrite all modules; returns {module: {constant: value}} for those who ask by name later.

    What `users` (tests) import by name from a module keeps its definition there, and all that is
    not private in the modules `public`.
    """
    values = _collect(modules)
    asked = {
        (n.module, a.name)
        for tree in users
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom)
        for a in n.names
    }
    for n, m in modules.items():
        imports = _imports(m, modules)
        flat = dict(values[n])
        for local, (origin, name) in imports.items():
            if name in values[origin]:
                flat[local] = values[origin][name]
        _unimport(m, modules, values)

        def use(node, flat=flat, imports=imports):
            if isinstance(node, ast.Name):
                return ast.Constant(flat[node.id]) if node.id in flat else node
            origin, name = imports.get(node.value.id, ("", "?"))
            if not name and node.attr in values[origin]:
                return ast.Constant(values[origin][node.attr])
            if node.value.id in flat:
                node.value = ast.Constant(flat[node.value.id])
            return node

        Globals(use, lambda name: name).visit(m.tree)
        _Arithmetic().visit(m.tree)
        gone = {k: v for k, v in values[n].items() if (n, k) not in asked}
        if n in public:
            gone = {k: v for k, v in gone.items() if k.startswith("_")}
        m.tree.body = [s for s in m.tree.body if not _definition(s, gone)]
    return values


def _definition(s: ast.AST, values: dict[str, int]) -> bool:
    return (
        isinstance(s, ast.Assign)
        and isinstance(s.targets[0], ast.Name)
        and s.targets[0].id in values
    )


def unused_imports(m: Module) -> None:
    """Drop top-level imports that nothing in the module names any more."""
    used: set[str] = set()

    def use(node):
        used.add(node.id if isinstance(node, ast.Name) else node.value.id)
        return node

    Globals(use, lambda name: name).visit(m.tree)
    kept = []
    for s in m.tree.body:
        if isinstance(s, ast.Import | ast.ImportFrom):
            s.names = [a for a in s.names if (a.asname or a.name.split(".")[0]) in used]
            if not s.names:
                continue
        kept.append(s)
    m.tree.body = kept

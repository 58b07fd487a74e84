"""Fewer different names: a board keeps each one it ever saw for ever (16 to 30 bytes).

Arguments    that no call passes by keyword become a, b, c, .. by position
Private      attributes and methods (`self._x`, and nothing but `self` ever says `._x`) share
             the same few names in all classes
Top level    functions and variables that no other file takes share A, B, C, .. in all files

A class takes part when it inherits from nothing and nobody inherits from it. A private method is
called by its own class, so `python -m l4tools.shrink --explain` can put the names back. (Were
methods to keep their names, a board's table of names would grow by a step of 7 KiB.)
"""

import ast
from collections import Counter
from collections.abc import Iterable

from l4tools.shrink_scope import FUNCTIONS, Globals, Module, arguments, bound, local_names

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_POOL = [*_LETTERS, *(a + b for a in "xyzuvw" for b in "0123456789")]


def _keywords(trees: Iterable[ast.AST]) -> set[str]:
    return {n.arg for t in trees for n in ast.walk(t) if isinstance(n, ast.keyword) and n.arg}


def _rename_arguments(fn: ast.AST, keep: set[str]) -> None:
    """Rename the arguments of one function in all of its body."""
    inner = [n for n in ast.walk(fn) if n is not fn]
    if any(isinstance(n, FUNCTIONS) for n in inner):
        taken = {a.arg for n in inner if isinstance(n, FUNCTIONS) for a in arguments(n)}
    else:
        taken = set()
    used = {n.id for n in inner if isinstance(n, ast.Name)} | taken
    used |= {x for n in inner if isinstance(n, ast.Global | ast.Nonlocal) for x in n.names}
    # Names bound by anything but an assignment are left alone.
    other = ast.ExceptHandler | ast.FunctionDef
    taken |= {n.name for n in inner if isinstance(n, other) and n.name}
    taken |= {(a.asname or a.name) for a in inner if isinstance(a, ast.alias)}
    used |= taken
    mine = arguments(fn)
    used |= {a.arg for a in mine}
    new: dict[str, str] = {}
    for i, a in enumerate(mine):
        if a.arg in keep or a.arg == "self" or a.arg in taken or len(a.arg) == 1:
            continue
        for letter in (*_LETTERS[i:], *_LETTERS[:i]):
            if letter not in used:
                new[a.arg] = letter
                used.add(letter)
                break
    for a in mine:
        a.arg = new.get(a.arg, a.arg)
    for n in inner:
        if isinstance(n, ast.Name):
            n.id = new.get(n.id, n.id)
        elif isinstance(n, ast.Nonlocal):
            n.names = [new.get(x, x) for x in n.names]


def _selfish(cls: ast.ClassDef) -> Counter:
    """How often each `._x` stands in a class; not for what the class body itself assigns."""
    c: Counter = Counter()
    for n in ast.walk(cls):
        if isinstance(n, ast.Attribute) and n.attr.startswith("_") and n.attr[:2] != "__":
            c[n.attr] += 1
    for s in cls.body:
        for n in () if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef) else ast.walk(s):
            if isinstance(n, ast.Name):
                c.pop(n.id, None)
        if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef) and s.decorator_list:
            c.pop(s.name, None)
    return c


def _own(trees: list[ast.AST]) -> dict[str, int]:
    """{private attribute: 1 if only ever said to `self`}."""
    ok: dict[str, int] = {}
    for t in trees:
        for n in ast.walk(t):
            if isinstance(n, ast.Attribute) and n.attr.startswith("_"):
                mine = isinstance(n.value, ast.Name) and n.value.id == "self"
                ok[n.attr] = ok.get(n.attr, 1) & mine
            elif isinstance(n, ast.Constant) and isinstance(n.value, str):
                ok[n.value] = 0  # getattr and the like
    return ok


_LOW = 110  # names whose number takes one byte in the bytecode: below 128, some are taken
_SMALL = 60  # a file with fewer different names has nothing to gain


def lead(m: Module) -> None:
    """Mention the commonest names first: .mpy numbers names as they come, and 0 to 127 take one
    byte less wherever they stand. The branch is never taken, and freed with the rest of the file's
    own code once it has run.
    """
    count: Counter = Counter()
    # mpy-cross puts these in as numbers: no names.
    folded = {
        s.targets[0].id
        for s in m.tree.body
        if isinstance(s, ast.Assign) and ast.unparse(s.value).startswith("const(")
    }
    for n in ast.walk(m.tree):
        if isinstance(n, ast.Attribute):
            count[n.attr] += 1
        elif isinstance(n, ast.FunctionDef):
            count[n.name] += 1
            count.update(a.arg for a in arguments(n))
            mine = local_names(n) | folded
            for x in ast.walk(n):
                if isinstance(x, ast.Name) and x.id not in mine:
                    count[x.id] += 1
    if len(count) < _SMALL:
        return
    names = [n for n, _ in count.most_common(_LOW)]
    chain = ast.Name("__name__", ast.Load())
    for n in names:
        chain = ast.Attribute(chain, n, ast.Load())
    never = ast.UnaryOp(ast.Not(), ast.Name("__name__", ast.Load()))
    m.tree.body.insert(0, ast.If(never, [ast.Expr(chain)], []))


def _private(t: ast.AST, own: dict[str, int], public: set[str], bases: set[str]) -> dict:
    """Rename what is private to each class of a file; {class: {method: its new name}}."""
    done = {}
    for cls in [n for n in ast.walk(t) if isinstance(n, ast.ClassDef)]:
        methods = [n for n in cls.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        done[cls.name] = {n.name: n.name for n in methods}
        if cls.bases or cls.name in bases:
            continue
        free = [p for p in _POOL if p not in public]
        names = [x for x, _ in _selfish(cls).most_common() if own.get(x)]
        new = dict(zip(names, free, strict=False))
        done[cls.name].update((n.name, new[n.name]) for n in methods if n.name in new)
        for n in ast.walk(cls):
            if isinstance(n, ast.Attribute):
                n.attr = new.get(n.attr, n.attr)
        for n in methods:
            n.name = new.get(n.name, n.name)
    return done


def _taken(t: ast.AST) -> set[str]:
    """Names that a file takes from others, or might: as an attribute or by import."""
    out: set[str] = set()
    for n in ast.walk(t):
        if isinstance(n, ast.alias):
            out.add(n.name)
        elif isinstance(n, ast.Attribute):
            out.add(n.attr)
    return out


def _globals(m: Module, kept: set[str]) -> dict[str, str]:
    """Rename a file's own functions and variables that nobody else takes; {old: new}."""
    own = set()
    for s in m.tree.body:
        if isinstance(s, ast.FunctionDef):
            own.add(s.name)
        elif isinstance(s, ast.Assign) and not ast.unparse(s.value).startswith("const("):
            own |= bound([s])
    seen = {n.id for n in ast.walk(m.tree) if isinstance(n, ast.Name)} | m.top()
    for fn in ast.walk(m.tree):
        if isinstance(fn, FUNCTIONS):
            seen |= local_names(fn)
    free = [p.upper() for p in _POOL if p.upper() not in seen]
    new = {n: n for n in sorted(own)}
    new.update(zip(sorted(own - kept), free, strict=False))

    def use(node):
        at = node if isinstance(node, ast.Name) else node.value
        at.id = new.get(at.id, at.id)
        return node

    Globals(use, lambda n: new.get(n, n)).visit(m.tree)
    return new


def shorten(modules: dict[str, Module], users: list[ast.AST]) -> dict[str, dict]:
    """Rename everywhere; {module: {class, or "" for the top level: {old name: new name}}}."""
    trees = [m.tree for m in modules.values()]
    everything = [*trees, *users]
    keep = _keywords(everything)
    own = _own(everything)
    public = {n.attr for t in trees for n in ast.walk(t) if isinstance(n, ast.Attribute)}
    classes = [n for t in everything for n in ast.walk(t) if isinstance(n, ast.ClassDef)]
    bases = {b.id for c in classes for b in c.bases if isinstance(b, ast.Name)}
    taken = {n: _taken(m.tree) for n, m in modules.items()}
    by_users: set[str] = set().union(*map(_taken, users))
    renamed = {}
    for name, m in modules.items():
        outside = by_users.union(*(names for n, names in taken.items() if n != name))
        renamed[name] = {"": _globals(m, outside)}
    for name, m in modules.items():
        for n in ast.walk(m.tree):
            if isinstance(n, FUNCTIONS):
                _rename_arguments(n, keep)
        renamed[name].update(_private(m.tree, own, public, bases))
    return renamed

"""Fewer different names: a board keeps each one it ever saw for ever (16 to 30 bytes).

Arguments    that no call passes by keyword become a, b, c, .. by position
Public       attributes and methods share names where no object has two of one (shrink_attrs.py)
Private      attributes and methods (`self._x`, and nothing but `self` ever says `._x`) share
             the same few names in all classes
Taken        what files import from each other (shrink_exports.py), and
Top level    functions, classes and variables that no other file takes, share A, B, C, ..

A class takes part with what is private when it inherits from nothing and nobody inherits from it.
`python -m l4tools.shrink --explain` puts the names into a traceback: it knows who calls whom.
"""

import ast
from collections import Counter
from collections.abc import Iterable

from l4tools import shrink_attrs as attrs
from l4tools import shrink_exports as exports
from l4tools.shrink_scope import DEFS, FUNCTIONS, Module, arguments, local_names

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_POOL = [*_LETTERS, *(a + b for a in "xyzuvw" for b in "0123456789")]
_GLOBALS = [*_LETTERS.upper(), *_POOL[26:], *(p.upper() for p in _POOL[26:])]
CALLS = "who calls whom"


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
        for n in () if isinstance(s, DEFS) else ast.walk(s):
            if isinstance(n, ast.Name):
                c.pop(n.id, None)
        if isinstance(s, DEFS) and s.decorator_list:
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


def _private(t: ast.AST, own: dict[str, int], public: set[str], bases: set[str]) -> None:
    """Rename what is private to each class of a file."""
    for cls in [n for n in ast.walk(t) if isinstance(n, ast.ClassDef)]:
        if cls.bases or cls.name in bases:
            continue
        have = public | attrs.made(cls)
        free = [p for p in _POOL if p not in have]
        names = [x for x, _ in _selfish(cls).most_common() if own.get(x)]
        new = dict(zip(names, free, strict=False))
        for n in ast.walk(cls):
            if isinstance(n, ast.Attribute):
                n.attr = new.get(n.attr, n.attr)
        for n in cls.body:
            if isinstance(n, DEFS):
                n.name = new.get(n.name, n.name)


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
    """Rename a file's own functions, classes and variables that nobody else takes; {old: new}."""
    own = exports.definitions(m)
    busy = exports.seen(m)
    new = {n: n for n in sorted(own)}
    new.update(zip(sorted(own - kept), [p for p in _GLOBALS if p not in busy], strict=False))
    exports.rename_globals(m, new)
    return new


def shorten(
    modules: dict[str, Module],
    users: list[ast.AST],
    hold: Iterable[str] = (),
    fixed: Iterable[str] = (),
    public: bool = True,
) -> dict[str, dict]:
    """Rename everywhere; {module: {class, or "" for the top level: {old name: new name}}}, and
    under CALLS {(class or "", function): names that it mentions}.

    `hold`: classes that others use; `fixed`: files whose names others know already. `public`
    False: only what is private to a class or a file.
    """
    everything = [*(m.tree for m in modules.values()), *users]
    renamed: dict[str, dict] = {CALLS: attrs.calls(modules)}
    classes = attrs.classes(modules)
    methods = {
        n: {c.name: [(s.name, s) for s in c.body if isinstance(s, DEFS)] for c in found}
        for n, found in classes.items()
    }
    if public:
        attrs.share(modules, users, hold, fixed, _POOL)
    keep = _keywords(everything)
    own = _own(everything)
    others = attrs.foreign(modules)
    every = [n for t in everything for n in ast.walk(t) if isinstance(n, ast.ClassDef)]
    bases = {b.id for c in every for b in c.bases if isinstance(b, ast.Name)}
    for m in modules.values():
        for n in ast.walk(m.tree):
            if isinstance(n, FUNCTIONS):
                _rename_arguments(n, keep)
        _private(m.tree, own, others, bases)
    for n, found in methods.items():
        renamed[n] = {c: {old: s.name for old, s in rows} for c, rows in found.items()}
    by_users: set[str] = _keywords(users).union(*map(_taken, users))
    passed = exports.share(modules, by_users | set(hold), fixed, _GLOBALS) if public else {}
    taken = {n: _taken(m.tree) for n, m in modules.items()}
    for name, m in modules.items():
        first = passed.get(name, {})
        late = _globals(m, by_users.union(hold, *(t for n, t in taken.items() if n != name)))
        renamed[name][""] = {k: v for k, v in late.items() if k not in first.values()} | first
    return renamed

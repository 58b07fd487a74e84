"""Share public attributes: two of them become one name when no object can have both.

An attribute that classes of the project make themselves (`def x` in the class, `self.x = ..` in a
method) is renamed in all files at once, wherever `.x` stands, so it never matters what an object
is. What could be meant by somebody else keeps its name:

- set from outside (`other.x = ..`), told by a string (getattr; a table of settings), or named by
  an application or a test
- made by a class that applications or tools hold, or whose file an update leaves as it is
- an attribute of Python, of MicroPython or of a chip; a name of a whole module
- a method that is handed around without being called: a traceback could not be followed

Names are then given like colours to a map: neighbours are the attributes of one class, or of
classes of which one inherits from the other.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable

from l4tools.shrink_dead import mentions
from l4tools.shrink_scope import DEFS, Module

# Attributes of objects that are not the project's, as far as its classes have some of that name.
# tests/host/test_shrink.py holds this against what Python and MicroPython have.
FOREIGN = set(
    """active add addr all any append atten bytes ceil choice close code config connect connected
    count datetime decode device digest disconnect encode end error errors extend feed feeds find
    filter got mtu on_read real times
    flags flush freq get getrandbits hash hexdigest hostname ifconfig index info init insert
    ioctl irq isconnected items join key keys link list listen load loads lower measure
    memory message mode modify name next off on open pending poll pop port publish push
    random read readblocks readinto readline recv register remove rename replace reset
    reset_cause rssi scan seek select send session set setblocking setsockopt sleep sock
    sort split start stat status step stop strip subscribe sync tell throw time unregister
    update upper url value values version wait walk wrap_socket write writeblocks""".split()
)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def made(cls: ast.ClassDef) -> set[str]:
    """Attributes that a class makes."""
    out: set[str] = set()
    for s in cls.body:
        if isinstance(s, DEFS):
            out.add(s.name)
        elif isinstance(s, ast.Assign):
            out |= {t.id for t in s.targets if isinstance(t, ast.Name)}
    for n in ast.walk(cls):
        if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and _is_self(n.value):
            out.add(n.attr)
    return out


def classes(modules: dict[str, Module]) -> dict[str, list[ast.ClassDef]]:
    return {
        name: [n for n in ast.walk(m.tree) if isinstance(n, ast.ClassDef)]
        for name, m in modules.items()
    }


def foreign(modules: dict[str, Module]) -> set[str]:
    """Attributes of objects nobody knows: made by no class, or set from outside."""
    known = set().union(*(made(c) for found in classes(modules).values() for c in found))
    out = set()
    for m in modules.values():
        for n in ast.walk(m.tree):
            if isinstance(n, ast.Attribute):
                outside = not isinstance(n.ctx, ast.Load) and not _is_self(n.value)
                if outside or n.attr not in known:
                    out.add(n.attr)
    return out


def _families(found: list[ast.ClassDef]) -> list[list[ast.ClassDef]]:
    """Classes of one name, or joined by inheritance, together."""
    groups: list[list[ast.ClassDef]] = []
    for cls in found:
        names = {cls.name} | {b.id for b in cls.bases if isinstance(b, ast.Name)}
        mine = [cls]
        for g in list(groups):
            have = {c.name for c in g} | {
                b.id for c in g for b in c.bases if isinstance(b, ast.Name)
            }
            if names & have - {"Exception", "ValueError", "OSError"}:
                groups.remove(g)
                mine += g
        groups.append(mine)
    return groups


def _kept(
    modules: dict[str, Module], users: list[ast.AST], hold: Iterable[str], fixed: Iterable[str]
) -> set[str]:
    """Names that attributes may not lose, for one of the reasons above."""
    kept = set(FOREIGN)
    for t in users:
        kept |= set(mentions(t))
        kept |= {n.name for n in ast.walk(t) if isinstance(n, (*DEFS, ast.ClassDef))}
    hold = set(hold)
    for name, m in modules.items():
        kept |= m.top()
        kept.add(m.short)
        called = {id(n.func) for n in ast.walk(m.tree) if isinstance(n, ast.Call)}
        for n in ast.walk(m.tree):
            if isinstance(n, ast.Attribute):
                if not isinstance(n.ctx, ast.Load) and not _is_self(n.value):
                    kept.add(n.attr)
                elif isinstance(n.ctx, ast.Load) and id(n) not in called:
                    kept.add("(%s)" % n.attr)  # of methods only: see share()
            elif isinstance(n, ast.Constant) and isinstance(n.value, str):
                kept |= set(re.findall(r"\w+", n.value)) if "\n" in n.value else {n.value}
            elif isinstance(n, ast.ClassDef) and (
                name in fixed or n.name.rpartition("_")[2] in hold
            ):
                kept |= made(n)
    return kept


def share(
    modules: dict[str, Module],
    users: list[ast.AST],
    hold: Iterable[str],
    fixed: Iterable[str],
    pool: list[str],
) -> dict[str, str]:
    """Rename attributes in all modules; {old: new}."""
    kept = _kept(modules, users, hold, fixed)
    groups = _families([c for found in classes(modules).values() for c in found])
    where: dict[str, set[int]] = {}  # attribute -> numbers of the families that make it
    methods: set[str] = set()
    for i, group in enumerate(groups):
        for cls in group:
            methods |= {s.name for s in cls.body if isinstance(s, DEFS)}
            for name in made(cls):
                where.setdefault(name, set()).add(i)
    count: Counter = Counter()
    for m in modules.values():
        count.update(n.attr for n in ast.walk(m.tree) if isinstance(n, ast.Attribute))
    mine = [
        n
        for n in where
        if not n.startswith("_")
        and len(n) > 2
        and n not in kept
        and not (n in methods and "(%s)" % n in kept)
    ]
    # What stays is a neighbour too; so is what is said of objects nobody knows.
    taken: dict[str, set[int]] = {n: set(f) for n, f in where.items() if n not in mine}
    loose = foreign(modules)
    new: dict[str, str] = {}
    for name in sorted(mine, key=lambda n: (-count[n], n)):
        for short in pool:
            if short not in loose and not taken.get(short, set()) & where[name]:
                taken.setdefault(short, set()).update(where[name])
                new[name] = short
                break
    for m in modules.values():
        _rename(m.tree, new)
    return new


def _rename(tree: ast.AST, new: dict[str, str]) -> None:
    for n in ast.walk(tree):
        if isinstance(n, ast.Attribute):
            n.attr = new.get(n.attr, n.attr)
        elif isinstance(n, ast.ClassDef):
            mine = made(n)
            for s in n.body:
                if isinstance(s, DEFS):
                    s.name = new.get(s.name, s.name)
                    said = [*s.decorator_list, *s.args.defaults, *filter(None, s.args.kw_defaults)]
                else:
                    said = [s]
                for x in (x for part in said for x in ast.walk(part)):
                    if isinstance(x, ast.Name) and x.id in mine:
                        x.id = new.get(x.id, x.id)


def calls(modules: dict[str, Module]) -> dict[tuple[str, str], set[str]]:
    """{(class or "", function): names that it mentions}, to follow a traceback by."""
    out: dict[tuple[str, str], set[str]] = {}

    def look(body, where):
        for s in body:
            if isinstance(s, ast.ClassDef):
                look(s.body, s.name)
            elif isinstance(s, DEFS):
                names = {n.attr for n in ast.walk(s) if isinstance(n, ast.Attribute)}
                names |= {n.id for n in ast.walk(s) if isinstance(n, ast.Name)}
                out.setdefault((where, s.name), set()).update(names)

    for m in modules.values():
        look(m.tree.body, "")
    return out

"""Merge modules that are always loaded together into one file, in the order of their imports.

A global name keeps itself where it is the only one of its kind and no local hides it; else it is
called module_name. Imports between merged modules vanish, `ticks.add(..)` becomes `ticks_add(..)`.
Each merged module leaves a stub that gives its public names, loaded only when somebody imports it.
"""

import ast
from dataclasses import dataclass

from l4tools.errors import ToolError
from l4tools.shrink_scope import FUNCTIONS, Globals, Module, bound, imported, local_names


class Bundles:
    def __init__(self, modules: dict[str, Module], bundles: dict[str, list[str]], values: dict):
        self._modules = modules
        self._bundles = bundles
        self._values = values
        self._home = {n: b for b, names in bundles.items() for n in names}
        self._own = {n: self._defined(m) for n, m in modules.items()}
        self._name = self._choose()

    def _defined(self, m: Module) -> set[str]:
        """Top-level names that a module makes itself."""
        mine = [s for s in m.tree.body if not isinstance(s, ast.Import | ast.ImportFrom)]
        return bound(mine)

    def _choose(self) -> dict[tuple[str, str], str]:
        """{(module, name): its name in the bundle}."""
        hidden: set[str] = set()
        taken: dict[str, int] = {}
        for n, m in self._modules.items():
            for fn in ast.walk(m.tree):
                if isinstance(fn, FUNCTIONS):
                    hidden |= local_names(fn) - self._hoisted(m, fn)
            foreign = {
                a.asname or a.name
                for s in m.tree.body
                if isinstance(s, ast.Import | ast.ImportFrom)
                for a in s.names
            } - {a.asname or a.name for s in m.tree.body for a, _, _ in self._imported(m, s)}
            for name in self._own[n] | foreign:
                # `from array import array` twice is the same thing.
                taken[name] = taken.get(name, 0) + (name in self._own[n] or not taken.get(name))
        chosen = {}
        for n in self._home:
            m = self._modules[n]
            for name in self._own[n]:
                # A module handed around as an object keeps its names: its bundle is named like it.
                alone = self._home[n] == n or (taken[name] == 1 and name not in hidden)
                lead = "_" if name.startswith("_") else ""
                chosen[n, name] = name if alone else "%s%s_%s" % (lead, m.short, name.strip("_"))
        all_names = [(self._home[n], new) for (n, _), new in chosen.items()]
        twice = sorted(x for x in all_names if all_names.count(x) > 1)
        if twice:
            raise ToolError("Two modules of the bundle %s both give %s. Rename one." % twice[0])
        return chosen

    def _imported(self, m, node):
        return imported(m, node, self._modules)

    def _hoisted(self, m: Module, fn: ast.AST) -> set[str]:
        """Names that a function imports from its own bundle: they need no import any more."""
        home = self._home.get(m.name)
        return {
            a.asname or a.name
            for s in ast.walk(fn)
            for a, origin, name in self._imported(m, s)
            if home and self._home.get(origin) == home and name
        }

    def merge(self) -> list["Stub"]:
        """Rewrite the modules: bundles replace their members, which leave a Stub each."""
        for m in self._modules.values():
            self._rewrite(m)
        stubs = []
        for bundle, names in self._bundles.items():
            members = [self._modules.pop(n) for n in self._order(names)]
            whole = Module(bundle, self._path(bundle, members), "")
            whole.tree.body = _imports_first([s for m in members for s in m.tree.body])
            stubs += [self._stub(m, bundle) for m in members if m.name != bundle]
            self._modules[bundle] = whole
        self._check()
        return stubs

    def _check(self) -> None:
        """A bundle must not need, while it loads, a file that needs the bundle."""
        for bundle in self._bundles:
            for s in self._modules[bundle].tree.body:
                for _, origin, _ in self._imported(self._modules[bundle], s):
                    other = self._modules[origin]
                    back = [o for t in other.tree.body for _, o, _ in self._imported(other, t)]
                    if bundle in back:
                        raise ToolError(
                            "%s is imported by the bundle %s and imports it. Put it into the "
                            "bundle, or import it in the function that needs it."
                            % (origin, bundle)
                        )

    def _path(self, bundle, members):
        for m in members:
            if m.name == bundle:
                return m.path
        lib = all(m.path.startswith("lib/") for m in members)
        return ("lib/" if lib else "") + bundle.replace(".", "/") + ".py"

    def _order(self, names: list[str]) -> list[str]:
        """Definers before importers."""
        done: list[str] = []

        def add(n, chain=()):
            if n in chain:
                raise ToolError("%s and %s import each other. Break the circle." % (n, chain[-1]))
            if n in done:
                return
            for d in sorted(self._needs[n]):
                if d in names:
                    add(d, (*chain, n))
            done.append(n)

        for n in names:
            add(n)
        return done

    _needs: dict[str, set[str]] = {}

    def _rewrite(self, m: Module) -> None:
        home = self._home.get(m.name)
        self._needs = {**self._needs, m.name: set()}
        local: dict[str, str] = {}  # local name -> name in the bundle
        whole: dict[str, str] = {}  # local name of a merged module -> that module
        if home:
            local.update({n: self._name[m.name, n] for n in self._own[m.name]})
        extra: dict[str, set[str]] = {}  # bundle -> names taken from it through a module alias
        top = set(map(id, m.tree.body))
        for block in _blocks(m.tree):
            kept = []
            for s in block:
                if isinstance(s, ast.Import | ast.ImportFrom):
                    kept += self._import(m, home, s, local, whole, id(s) in top)
                else:
                    kept.append(s)
            block[:] = kept or ([ast.Pass()] if block and block is not m.tree.body else [])

        def use(node):
            if isinstance(node, ast.Name):
                if node.id in whole:
                    raise ToolError(
                        "%s hands the module %s around as an object, so it cannot be merged. "
                        "Take it out of the bundle." % (m.name, whole[node.id])
                    )
                node.id = local.get(node.id, node.id)
                return node
            base = node.value.id
            if base in whole:
                origin = whole[base]
                new = self._name.get((origin, node.attr))
                if new is None:
                    raise ToolError("%s has no %s, which %s uses." % (origin, node.attr, m.name))
                if self._home[origin] != home:
                    extra.setdefault(self._home[origin], set()).add(new)
                return ast.Name(new, ast.Load())
            node.value.id = local.get(base, base)
            return node

        Globals(use, lambda n: local.get(n, n)).visit(m.tree)
        for bundle, names in sorted(extra.items()):
            m.tree.body.insert(0, _take(bundle, [(n, n) for n in sorted(names)]))

    def _import(self, m, home, s, local, whole, at_top):
        """The statements that replace an import."""
        out, plain, taken = [], [], {}
        known = {id(a): (o, n) for a, o, n in self._imported(m, s)}
        for a in s.names:
            origin, name = known.get(id(a), ("", ""))
            here = a.asname or a.name
            bundle = self._home.get(origin)
            if at_top and origin:
                self._needs[m.name].add(origin)
            if bundle is None or (not name and bundle == origin):
                plain.append(a)
            elif not name:
                whole[here] = origin
            else:
                new = self._name[origin, name]
                if bundle == home:
                    local[here] = new
                else:
                    if home and at_top:
                        local[here] = here = new
                    taken.setdefault(bundle, []).append((new, here))
        if plain:
            if isinstance(s, ast.ImportFrom) and s.level:
                s = ast.ImportFrom(m.origin(s), plain, 0)
            s.names = plain
            out.append(s)
        out += [_take(bundle, pairs) for bundle, pairs in taken.items()]
        return out

    def _stub(self, m: Module, bundle: str) -> "Stub":
        names = [n for n in sorted(self._own[m.name]) if not n.startswith("_")]
        values = self._values.get(m.name, {})
        public = {n: v for n, v in sorted(values.items()) if not n.startswith("_")}
        return Stub(m.path, bundle, [(self._name[m.name, n], n) for n in names], public)


@dataclass
class Stub:
    """What stays under a merged module's old name: (name in the bundle, own name), constants."""

    path: str
    bundle: str
    names: list[tuple[str, str]]
    values: dict[str, int]

    def source(self, renamed: dict[str, str]) -> bytes:
        pairs = [(renamed.get(a, a), b) for a, b in self.names]
        lines = [ast.unparse(_take(self.bundle, pairs))] if pairs else []
        lines += ["%s = %d" % row for row in self.values.items()]
        return ("\n".join(lines) + "\n").encode()


def _blocks(tree):
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


def _take(bundle: str, pairs: list[tuple[str, str]]) -> ast.ImportFrom:
    names = [ast.alias(a, None if a == b else b) for a, b in pairs]
    return ast.ImportFrom(bundle, names, 0)


def _imports_first(body: list[ast.AST]) -> list[ast.AST]:
    """One statement a module for what the members import from elsewhere."""
    plain: dict[tuple, ast.AST] = {}
    rest = []
    for s in body:
        if isinstance(s, ast.Import):
            for a in s.names:
                plain.setdefault((a.name, a.asname), ast.Import([a]))
        elif isinstance(s, ast.ImportFrom):
            row = plain.setdefault((s.module, "from"), ast.ImportFrom(s.module, [], 0))
            have = {(a.name, a.asname) for a in row.names}
            row.names += [a for a in s.names if (a.name, a.asname) not in have]
        else:
            rest.append(s)
    return [*plain.values(), *rest]

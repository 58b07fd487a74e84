"""Names and scopes of device modules, as far as shrink.py needs them.

`Module` is a parsed file: its top-level names, what it imports from the project, and a walk over
its global names that knows what is local. Comprehension variables count as locals of the function
around them, which is on the safe side.
"""

import ast
from collections.abc import Callable, Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)


def arguments(fn: ast.AST) -> list[ast.arg]:
    a = fn.args
    more = [x for x in (a.vararg, a.kwarg) if x]
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *more]


def body(node: ast.AST) -> list[ast.AST]:
    return node.body if isinstance(node.body, list) else [node.body]


def inside(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """All nodes of one scope: into everything but the bodies of functions and classes."""
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, SCOPES):
            more = list(getattr(node, "decorator_list", []))
            if isinstance(node, ast.ClassDef):
                more += node.bases
            else:
                more += [d for d in (*node.args.defaults, *node.args.kw_defaults) if d]
        else:
            more = list(ast.iter_child_nodes(node))
        more.reverse()
        stack += more


def bound(nodes: list[ast.AST]) -> set[str]:
    """Names that a scope binds: assignments, imports, definitions, loops, handlers."""
    names: set[str] = set()
    away: set[str] = set()
    for n in inside(nodes):
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            names.add(n.id)
        elif isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(n.name)
        elif isinstance(n, ast.Import | ast.ImportFrom):
            names.update(a.asname or a.name.split(".")[0] for a in n.names)
        elif isinstance(n, ast.ExceptHandler) and n.name:
            names.add(n.name)
        elif isinstance(n, ast.Global | ast.Nonlocal):
            away.update(n.names)
    return names - away


def local_names(fn: ast.AST) -> set[str]:
    return {a.arg for a in arguments(fn)} | bound(body(fn))


class Module:
    """A device module. `name` dotted, `path` in the image, `tree` rewritten in place."""

    def __init__(self, name: str, path: str, source: str):
        self.name = name
        self.path = path
        self.tree = ast.parse(source, path)
        self.short = name.rpartition(".")[2]
        self.package = name if path.endswith("__init__.py") else name.rpartition(".")[0]

    def top(self) -> set[str]:
        return bound(self.tree.body)

    def source(self) -> str:
        return ast.unparse(ast.fix_missing_locations(self.tree)) + "\n"

    def origin(self, node: ast.ImportFrom) -> str:
        """Absolute name of the module that a `from` statement names."""
        if not node.level:
            return node.module or ""
        base = self.package.split(".")
        base = base[: len(base) - node.level + 1]
        return ".".join(base + ([node.module] if node.module else []))


def imported(m: Module, node: ast.AST, known: dict) -> Iterator[tuple[ast.alias, str, str]]:
    """(alias, module, name) that an import statement takes from the project; "" = the module."""
    if isinstance(node, ast.Import):
        for a in node.names:
            if a.name in known and (a.asname or "." not in a.name):
                yield a, a.name, ""
    elif isinstance(node, ast.ImportFrom):
        origin = m.origin(node)
        for a in node.names:
            whole = "%s.%s" % (origin, a.name) if origin else a.name
            if whole in known:
                yield a, whole, ""
            elif origin in known:
                yield a, origin, a.name


class Globals(ast.NodeTransformer):
    """Calls `load(node) -> node` for each Name or `module.attribute` that may be a global, and
    `define(name) -> name` for each binding of one; locals are let be."""

    def __init__(self, use: Callable, define: Callable):
        self._use = use
        self._define = define
        self._locals: list[set[str]] = []
        self._class = [False]
        self._away: list[set[str]] = [set()]

    def is_global(self, name: str) -> bool:
        return not any(name in s for s in self._locals)

    def _scope(self, node: ast.AST, names: set[str], in_class: bool) -> None:
        # A class body's names are seen in the body itself, not in its methods.
        saved = self._locals
        if self._class[-1]:
            self._locals = self._locals[:-1]
        self._locals = [*self._locals, names]
        self._class.append(in_class)
        new = [self.visit(x) for x in body(node)]
        flat = [y for x in new if x is not None for y in (x if isinstance(x, list) else [x])]
        node.body = flat if isinstance(node.body, list) else flat[0]
        self._class.pop()
        self._locals = saved

    def _function(self, node):
        if not isinstance(node, ast.Lambda):
            node.decorator_list = [self.visit(d) for d in node.decorator_list]
            if self.is_global(node.name) and not self._locals:
                node.name = self._define(node.name)
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
        self._scope(node, local_names(node), False)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node):
        node.bases = [self.visit(b) for b in node.bases]
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        if not self._locals:
            node.name = self._define(node.name)
        self._scope(node, bound(node.body), True)
        return node

    def visit_Global(self, node):
        node.names = [self._define(n) for n in node.names]
        return node

    def visit_Name(self, node):
        if self.is_global(node.id):
            if isinstance(node.ctx, ast.Load):
                return self._use(node)
            node.id = self._define(node.id)
        return node

    def visit_Attribute(self, node):
        v = node.value
        if isinstance(v, ast.Name) and isinstance(node.ctx, ast.Load) and self.is_global(v.id):
            return self._use(node)
        node.value = self.visit(v)
        return node

    def visit_ExceptHandler(self, node):
        if node.name and self.is_global(node.name):
            node.name = self._define(node.name)
        return self.generic_visit(node)

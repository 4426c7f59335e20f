"""The shape of a module's code, without names, comments, docstrings, annotations and messages.

A module has one `Shape` for each name bound at its top level. A shape consists of a hash of the definition's syntax
tree, in which everything defined elsewhere is a numbered placeholder, and the list of references for these placeholders
(docs/adr/0019-staleness-by-code.md).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["ModuleShape", "Ref", "Shape", "module_shape"]

# The target of a name: a module as written in an import statement ("" for this module), then attributes.
Ref = tuple[str, ...]

# Methods of any class that produce text for people.
_PROSE = frozenset({"__repr__", "__str__", "explain", "extra_repr", "meaning"})
# Methods of any class that only the conformance kit calls.
_FOR_CHECKS = frozenset({"expected_failures", "identities"})
_SKIPPED_FIELDS = frozenset({"annotation", "ctx", "kind", "returns", "type_comment"})
_FIELDS_MATTER = frozenset({"BaseModel", "NamedTuple", "TypedDict"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Shape:
    """The code of one definition.

    Attributes:
        digest: Hash of the syntax tree.
        refs: Targets of the placeholders, in order of appearance.
    """

    digest: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True)
class ModuleShape:
    """A module's definitions.

    Attributes:
        imports: Name -> its target.
        definitions: Name -> shape of the statements that define it.
        effects: Shape of the statements that only have side effects; None if there are none.
    """

    imports: dict[str, Ref]
    definitions: dict[str, Shape]
    effects: Shape | None


def module_shape(source: str) -> ModuleShape:
    """Return the shapes of a module's definitions.

    Raises:
        SyntaxError: The source is not Python.
    """
    imports: dict[str, Ref] = {}
    statements: dict[str, list[ast.stmt]] = {}
    effects: list[ast.stmt] = []
    for statement in ast.parse(source).body:
        _sort(statement, imports, statements, effects)
    known = {*imports, *statements}
    definitions = {name: _Writer(imports, known, name).shape(found) for name, found in statements.items()}
    return ModuleShape(imports, definitions, _Writer(imports, known, "").shape(effects) if effects else None)


def _sort(
    statement: ast.stmt, imports: dict[str, Ref], statements: dict[str, list[ast.stmt]], effects: list[ast.stmt]
) -> None:
    """Assign a top-level statement to the names that it binds, or to the effects."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        imports.update(_bindings(statement))
        return
    if _is_type_checking(statement):
        # Modules that load their names lazily list their origins here.
        for inner in ast.walk(statement):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                for name, ref in _bindings(inner):
                    imports.setdefault(name, ref)
        return
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return
    if isinstance(statement, _FUNCTIONS) and any(_last_name(item) == "overload" for item in statement.decorator_list):
        return
    names, others = _bound(statement)
    if names == {"__all__"}:
        return
    for inner in ast.walk(statement) if isinstance(statement, ast.If | ast.Try | ast.With) else ():
        if isinstance(inner, ast.Import | ast.ImportFrom):
            imports.update((name, ref) for name, ref in _bindings(inner) if name not in names)
    for name in (*sorted(names), *others):
        statements.setdefault(name, []).append(statement)
    if others or not names:
        effects.append(statement)


def _is_type_checking(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and _last_name(statement.test) == "TYPE_CHECKING"


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _bindings(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Ref]]:
    if isinstance(statement, ast.ImportFrom):
        module = "." * statement.level + (statement.module or "")
        if module != "__future__":
            for alias in statement.names:
                yield alias.asname or alias.name, (module, alias.name)
        return
    for alias in statement.names:
        if alias.asname:
            yield alias.asname, (alias.name,)
        else:
            top = alias.name.partition(".")[0]
            yield top, (top,)


def _bound(statement: ast.stmt) -> tuple[set[str], list[str]]:
    """Return the names that a top-level statement binds, and those whose objects it modifies."""
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return {"__all__"}, []  # a bare annotation
    names, others = set(), []
    for node in _own_nodes(statement):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            if isinstance(base, ast.Name):
                others.append(base.id)
    return names, others


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and its descendants, except inside functions, classes and comprehensions."""
    yield node
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Lambda, *_COMPREHENSIONS)):
        return
    for child in ast.iter_child_nodes(node):
        yield from _own_nodes(child)


@dataclass
class _Scope:
    """The names of a function, a class body or a comprehension."""

    names: set[str]
    is_class: bool = False
    imports: dict[str, Ref] = field(default_factory=dict)


def _function_scope(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> _Scope:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    scope = _body_scope(node.body if isinstance(node.body, list) else [node.body])
    scope.names.update(argument.arg for argument in every if argument is not None)
    return scope


def _body_scope(body: Iterable[ast.AST], *, is_class: bool = False) -> _Scope:
    scope, outer = _Scope(set(), is_class), set[str]()
    for top in body:
        for node in _own_nodes(top):
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                scope.names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                scope.names.add(node.id)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                scope.names.add(node.name)
            elif isinstance(node, ast.Global | ast.Nonlocal):
                outer.update(node.names)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                scope.imports.update(_bindings(node))
            elif isinstance(node, _COMPREHENSIONS):  # names bound by `:=` in comprehensions belong to the function
                scope.names.update(inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
    scope.names -= outer | scope.imports.keys()
    return scope


class _Writer:
    """Serialize syntax trees to text, and collect their references."""

    def __init__(self, imports: dict[str, Ref], known: set[str], name: str) -> None:
        self.imports, self.known, self.name = imports, known, name
        self.scopes: list[_Scope] = []
        self.parts: list[str] = []
        self.refs: dict[Ref, int] = {}

    def shape(self, statements: Iterable[ast.stmt]) -> Shape:
        for statement in statements:
            self.write(statement, top=True)
        return Shape(hashlib.sha256("".join(self.parts).encode()).hexdigest(), tuple(self.refs))

    def write(self, node: object, *, top: bool = False) -> None:
        if isinstance(node, ast.If) and _is_type_checking(node):
            return
        if isinstance(node, ast.Name):
            self.write_name(node, ())
        elif isinstance(node, ast.Attribute):
            self.write_attribute(node)
        elif isinstance(node, ast.Constant):
            self.parts.append(f"{type(node.value).__name__}:{node.value!r};")
        elif isinstance(node, _FUNCTIONS):
            self.write_function(node, top)
        elif isinstance(node, ast.ClassDef):
            self.write_class(node, top)
        elif isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            self.write_inner(node)
        elif isinstance(node, ast.Raise):
            self.write_raise(node)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:  # exactly like an assignment without an annotation
                self.fields("Assign", [node.target], node.value)
        elif isinstance(node, ast.Assert):
            self.fields("Assert", node.test)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _last_name(node.value) == "warn":
            self.parts.append("warn;")
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Pass | ast.Global | ast.Nonlocal):
            pass
        elif isinstance(node, ast.AST):
            self.fields(
                type(node).__name__, *(getattr(node, key, None) for key in node._fields if key not in _SKIPPED_FIELDS)
            )
        elif isinstance(node, list):
            self.parts.append("[")
            for item in node:
                self.write(item)
            self.parts.append("]")
        else:
            self.parts.append("-" if node is None else f"{node!r};")

    def fields(self, kind: str, *values: object) -> None:
        self.parts.append(f"({kind} ")
        for value in values:
            self.write(value)
        self.parts.append(")")

    def write_name(self, node: ast.Name, attributes: tuple[str, ...]) -> None:
        ref = None
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.is_class and depth:
                continue
            if node.id in scope.names:
                break
            if node.id in scope.imports:
                ref = scope.imports[node.id]
                break
        else:
            if not self.scopes and isinstance(node.ctx, ast.Store):
                self.parts.append("self;" if node.id == self.name else "other;")
                return
            if node.id in self.known:
                ref = ("", node.id)
        if ref is None:
            self.parts.append(f"{node.id}{''.join('.' + name for name in attributes)};")
        else:
            number = self.refs.setdefault((*ref, *attributes), len(self.refs))
            self.parts.append(f"@{number};")

    def write_attribute(self, node: ast.Attribute) -> None:
        names: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            names.insert(0, base.attr)
            base = base.value
        if isinstance(base, ast.Name):
            self.write_name(base, tuple(names))
        else:
            self.write(base)
            self.parts.append("".join("." + name for name in names) + ";")

    def write_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, top: bool) -> None:
        self.parts.append(f"({type(node).__name__} {'' if top else node.name} ")
        self.write(node.decorator_list)
        self.write_arguments(node.args)
        self.scopes.append(_function_scope(node))
        self.write(node.body)
        self.scopes.pop()
        self.parts.append(")")

    def write_arguments(self, arguments: ast.arguments) -> None:
        for group in (arguments.posonlyargs, arguments.args, arguments.kwonlyargs):
            self.parts.append(",".join(argument.arg for argument in group) + "|")
        for single in (arguments.vararg, arguments.kwarg):
            self.parts.append((single.arg if single else "") + "|")
        self.write(arguments.defaults)
        self.write(arguments.kw_defaults)

    def write_class(self, node: ast.ClassDef, top: bool) -> None:
        self.parts.append(f"(class {'' if top else node.name} ")
        for value in (node.decorator_list, node.bases, node.keywords):
            self.write(value)
        said = {_last_name(item) for item in (*node.decorator_list, *node.bases)}
        matters = bool(said & {"dataclass", *_FIELDS_MATTER})
        self.scopes.append(_body_scope(node.body, is_class=True))
        for statement in node.body:
            if isinstance(statement, _FUNCTIONS) and statement.name in _PROSE | _FOR_CHECKS:
                continue
            if matters and isinstance(statement, ast.AnnAssign):
                self.parts.append("field ")
                self.write(statement.target)
            self.write(statement)
        self.scopes.pop()
        self.parts.append(")")

    def write_inner(self, node: ast.AST) -> None:
        self.parts.append(f"({type(node).__name__} ")
        if isinstance(node, ast.Lambda):
            self.write_arguments(node.args)
            self.scopes.append(_function_scope(node))
            self.write(node.body)
        else:
            generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
            targets = (inner for one in generators for inner in ast.walk(one.target) if isinstance(inner, ast.Name))
            self.scopes.append(_Scope({inner.id for inner in targets}))
            for name in ("elt", "key", "value", "generators"):
                self.write(getattr(node, name, None))
        self.scopes.pop()
        self.parts.append(")")

    def write_raise(self, node: ast.Raise) -> None:
        """Write which error is raised, without its message."""
        error = node.exc
        said = isinstance(error, ast.Call) and _last_name(error).endswith(("Error", "Exception", "Exit"))
        self.fields("Raise", error.func if said and isinstance(error, ast.Call) else error)

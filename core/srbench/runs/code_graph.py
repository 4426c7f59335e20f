"""Digests of entry points' code: the shape of each and of everything that it uses."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from srbench.registry.entry_points import contributions
from srbench.runs.code_shapes import ModuleShape, Ref, module_shape

__all__ = ["CodeBase", "installed_code"]

CORE = "srbench"

# The packages and modules of the core that affect numbers. Definitions in other modules are hashed by name only.
NUMERIC = frozenset(
    {"compat", "data", "evaluation", "images", "metrics", "models", "protocols", "training"}
)  # fmt: skip
_NOT_NUMERIC = ("srbench.models.architecture", "srbench.models.summary_table", "srbench.evaluation.protocol_costs")
# In a plugin, everything is hashed except these.
_NOT_NUMERIC_IN_PLUGINS = frozenset({"cli", "figures"})

# Their results are part of the key anyway: a protocol's settings, the data's pixels.
_LOOKUPS = frozenset({"get_protocol", "open_dataset"})

# (from, to): a training evaluates its network on validation images, but does not use the result.
_WITHOUT_EFFECT = (("srbench.training", "srbench.evaluation"), ("srbench.training", "srbench.metrics"))
# Protocols, and the preparation of images for metrics, use luma only if the protocol or a metric needs it.
_LUMA = "srbench.images.color"
_LUMA_ONLY_IF_ASKED = (
    "srbench.protocols", "srbench.evaluation", "srbench.metrics.base", "srbench.metrics.comparison",
)  # fmt: skip

Node = tuple[str, str]  # module, name; "" for the module's effects


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


class CodeBase:
    """The source of the core and of the plugins."""

    def __init__(self, places: Mapping[str, Path] | None = None) -> None:
        """Initialize with the locations of the code.

        Args:
            places: Top-level name -> its folder or file; the installed code if not given.
        """
        self._given = places
        self._modules: dict[str, ModuleShape | None] = {}
        self._tokens: dict[tuple[Node, bool], str] = {}

    def digest(self, entry: str, *, luma: bool = True) -> str:
        """Return the hash of an entry point's code.

        Args:
            entry: `module:name`, as entry points are written.
            luma: Whether the protocol or a metric uses luma.
        """
        module, _, name = entry.partition(":")
        return self._token(CORE, (module, *name.split(".")), luma, root=True)

    # Finding

    @functools.cached_property
    def _tops(self) -> frozenset[str]:
        if self._given is not None:
            return frozenset(self._given)
        entries = (item for names in contributions().values() for items in names.values() for item in items)
        return frozenset({CORE, *(item.value.partition(":")[0].partition(".")[0] for item in entries)})

    @functools.cache  # noqa: B019 - lives as long as the process, as the code does
    def _place(self, top: str) -> tuple[Path, ...]:
        if self._given is not None:
            return (self._given[top],)
        spec = importlib.util.find_spec(top)
        if spec is None:
            return ()
        if spec.submodule_search_locations:
            return tuple(map(Path, spec.submodule_search_locations))
        return (Path(spec.origin),) if spec.origin else ()

    @functools.cache  # noqa: B019
    def _file(self, module: str) -> Path | None:
        top, *parts = module.split(".")
        if top not in self._tops:
            return None
        for place in self._place(top):
            if place.is_file():
                return place if not parts else None
            base = place.joinpath(*parts)
            for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
                if path.is_file():
                    return path
            if parts and (compiled := sorted(base.parent.glob(f"{base.name}.*.so"))):
                return compiled[0]
        return None

    def _module(self, module: str) -> ModuleShape | None:
        """Return a module's shapes; None if it is not ours or not Python source."""
        if module not in self._modules:
            path = self._file(module)
            try:
                found = None if path is None else module_shape(path.read_text(encoding="utf-8"))
            except (OSError, SyntaxError, ValueError):
                found = None
            self._modules[module] = found
        return self._modules[module]

    def _numeric(self, module: str) -> bool:
        top, *parts = module.split(".")
        if top == CORE:
            return bool(parts) and parts[0] in NUMERIC and not _within(module, _NOT_NUMERIC)
        return not _NOT_NUMERIC_IN_PLUGINS.intersection(parts)

    # Linking

    def _resolve(self, module: str, ref: Ref, seen: frozenset[tuple[str, Ref]] = frozenset()) -> tuple[str, Ref]:
        """Follow a reference to the defining module, and return it with the remaining path."""
        target, *path = ref
        if target == "":
            target = module
        elif target.startswith("."):
            package = module if self._is_package(module) else module.rpartition(".")[0]
            target = importlib.util.resolve_name(target, package)
        while path and self._file(target) is not None:
            shapes = self._module(target)
            if shapes is None or path[0] in shapes.definitions:
                break
            if path[0] in shapes.imports:
                step = (target, (*shapes.imports[path[0]], *path[1:]))
                return (target, tuple(path)) if step in seen else self._resolve(*step, seen | {step})
            if self._file(f"{target}.{path[0]}") is None:
                break
            target = f"{target}.{path.pop(0)}"
        return target, tuple(path)

    def _is_package(self, module: str) -> bool:
        path = self._file(module)
        return path is not None and path.name == "__init__.py"

    def _edge(self, source: str, ref: Ref, luma: bool, *, root: bool = False) -> tuple[Node | None, str]:
        """Return the definition that a reference points to, if it is hashed, and the reference's own text."""
        module, path = self._resolve(source, ref)
        text = ".".join(path[1:])
        if module.partition(".")[0] not in self._tops:
            return None, "." + ".".join((module, *path))
        name = path[0] if path else ""
        cut = not root and (
            name in _LOOKUPS
            or any(_within(source, (a,)) and _within(module, (b,)) for a, b in _WITHOUT_EFFECT)
            or (not luma and _within(module, (_LUMA,)) and _within(source, _LUMA_ONLY_IF_ASKED))
        )
        if cut or not self._numeric(module):
            return None, ".".join(path) or module.rpartition(".")[2]
        shapes = self._module(module)
        if shapes is not None and name in shapes.definitions:
            return (module, name), text
        # A name without a visible definition, or compiled code: hash the whole file.
        file = self._file(module)
        return None, _hash(hashlib.sha256(file.read_bytes()).hexdigest() if file else module, *path)

    def _token(self, source: str, ref: Ref, luma: bool, *, root: bool = False) -> str:
        node, text = self._edge(source, ref, luma, root=root)
        return text if node is None else f"{self._node(node, luma)}.{text}"

    def _node(self, node: Node, luma: bool) -> str:
        if (node, luma) not in self._tokens:
            _Components(self, luma).visit(node)
        return self._tokens[node, luma]

    def _parts(self, node: Node, luma: bool) -> tuple[str, list[tuple[Node | None, str]]]:
        module, name = node
        shapes = self._module(module)
        assert shapes is not None  # it was found before
        shape = shapes.definitions[name] if name else shapes.effects
        assert shape is not None
        edges = [self._edge(module, ref, luma) for ref in shape.refs]
        if name and shapes.effects is not None:
            edges.append(((module, ""), ""))
        return shape.digest, edges


class _Components:
    """Hash definitions in order of use, mutually recursive ones together (Tarjan's algorithm, 1972)."""

    def __init__(self, code: CodeBase, luma: bool) -> None:
        self.code, self.luma = code, luma
        self.index: dict[Node, int] = {}
        self.low: dict[Node, int] = {}
        self.stack: list[Node] = []
        self.parts: dict[Node, tuple[str, list[tuple[Node | None, str]]]] = {}

    def visit(self, node: Node) -> None:
        self.index[node] = self.low[node] = len(self.index)
        self.stack.append(node)
        self.parts[node] = self.code._parts(node, self.luma)
        for target, _ in self.parts[node][1]:
            if target is None or (target, self.luma) in self.code._tokens:
                continue
            if target not in self.index:
                self.visit(target)
            self.low[node] = min(self.low[node], self.low[target])
        if self.low[node] == self.index[node]:
            at = self.stack.index(node)
            self.finish(self.stack[at:])
            del self.stack[at:]

    def finish(self, members: list[Node]) -> None:
        tokens = self.code._tokens
        # Mutual references of members are refined iteratively, so that neither names nor order matter.
        current = {member: self.parts[member][0] for member in members}
        for _ in members:
            current = {
                member: _hash(
                    self.parts[member][0],
                    *(
                        text if target is None else f"{current.get(target) or tokens[target, self.luma]}.{text}"
                        for target, text in self.parts[member][1]
                    ),
                )
                for member in members
            }
        tokens.update({(member, self.luma): digest for member, digest in current.items()})


@functools.cache
def installed_code() -> CodeBase:
    """Return the installed code, as of the first call."""
    return CodeBase()

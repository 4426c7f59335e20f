"""YAML with line numbers for validation errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from srbench.errors import ConfigError
from srbench.untrusted import check_expansion, read_text
from srbench.validation import problems_in

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["Document", "explain", "read"]

Place = Sequence[str | int]


@dataclass(frozen=True)
class Document:
    """The value of a YAML text and its tree of nodes.

    Attributes:
        label: Name of the file in messages.
        value: The value of the top-level mapping.
        root: The node behind it.
    """

    label: str
    value: dict[str, Any]
    root: yaml.MappingNode

    def where(self, *place: str | int) -> str:
        """Return `FILE, line N` for a key or an item, or for its nearest ancestor in the file."""
        return f"{self.label}, line {self._line(place)}"

    def _line(self, place: Place) -> int:
        node: yaml.Node = self.root
        line = node.start_mark.line + 1
        for part in place:
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
                if pair is None:
                    continue  # pydantic's locations also include names of validators
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def read(path: Path | Traversable, label: str | None = None) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: The file is missing, is not YAML, has a duplicate key, or is not a mapping.
    """
    label = label or str(path)
    if isinstance(path, Path):
        return parse(read_text(path, what="YAML file", error=ConfigError), label)
    return parse(path.read_text(encoding="utf-8"), label)  # a package's own


def parse(text: str, label: str) -> Document:
    """Read a YAML text whose top level is a mapping.

    Raises:
        ConfigError: The text is not YAML, has a duplicate key, or is not a mapping.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{label} must hold a mapping such as 'name: my_suite'; it holds something else.")
        check_expansion(root, label, ConfigError)
        _refuse_duplicates(root, label)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax(error, label)) from error
    except RecursionError as error:
        raise ConfigError(f"{label} is nested too deeply for a suite.") from error
    return Document(label, value, root)


def _syntax(error: yaml.YAMLError, label: str) -> str:
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    return f"{label}{line}: this is not YAML: {problem}."


def _refuse_duplicates(node: yaml.Node, label: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{label}, line {key.start_mark.line + 1}: a key must be a plain name.")
            if key.value in seen:
                # YAML itself would silently keep the last one.
                raise ConfigError(
                    f"{label}, line {key.start_mark.line + 1}: the key '{key.value}' is given twice; keep one."
                )
            seen.add(key.value)
            _refuse_duplicates(value, label)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, label)


def explain(
    error: ValidationError, document: Document, keys: Callable[[Place], Iterable[str]], prefix: Place = ()
) -> ConfigError:
    """Return a validation error as a sentence: file, line, what was given, what was expected, the nearest key.

    Args:
        error: The error raised by pydantic.
        document: The document of the value.
        keys: Returns the valid keys at the place of an unknown key.
        prefix: Place of the validated value in the document.
    """
    found = problems_in(error, tuple(prefix))
    # A misspelled key is also a missing key: report the misspelling, which is more helpful.
    first = min(found, key=lambda problem: (problem.kind == "missing", document._line(problem.place)))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ConfigError(f"{document.where(*first.place)}: {first.sentence(keys(first.place))}{more}")

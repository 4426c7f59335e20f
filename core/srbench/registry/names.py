"""Parse and print model names: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.

    edsr_baseline
    basicsr/EDSR(num_feat=32)
    edsr_baseline+ps(ratio=1/16,shape=64x64x1x1)
    drrn_b1u9+ps.author

A value is an integer, a decimal, a fraction (both kept exact), a shape, a name, `true`, `false`, or any other text in
double quotes. A backbone of another library is `LIBRARY/ARCHITECTURE[(key=value,...)]`. A backbone or a method that
several distributions contribute is `DISTRIBUTION:NAME`. Printing sorts the keys and normalizes values: `0.25`, `4/16`
and `1/4` print as `1/4`. This module does not look at installed plugins; `srbench.registry.canonical_name` fills in a
method's defaults.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from srbench.errors import NameSyntaxError

__all__ = ["ArchitectureName", "ModelName", "Value", "format_value", "parse", "parse_value"]

Value = int | Fraction | bool | str

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# A name may be qualified by its distribution: `my-plugin:edsr`.
_QUALIFIED = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?:)?[A-Za-z][A-Za-z0-9_]*")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHAPE = re.compile(r"(?:\d+|[A-Z])(?:x(?:\d+|[A-Z]))+")
_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?\d*\.\d+|-?\d+\.\d*")
_FRACTION = re.compile(r"(-?\d+)/(\d+)")
_QUOTED = re.compile(r'"([^"\n]*)"')
_BARE = re.compile(r"[^,()\"=\s]+")
_NUMBER_LIKE = re.compile(r"[-\d./]+")
_LONGEST_NUMBER = 60  # most characters of a number, more than any argument needs
_LONGEST_NAME = 500
_RESERVED = {"true": True, "false": False}
_FORM = "BACKBONE[+METHOD[(key=value,...)]][.TAG]"


def parse_value(text: str) -> Value:
    """Parse the value of an argument.

    Raises:
        NameSyntaxError: The text is not a number, fraction, shape, name or quoted string.
    """
    if quoted := _QUOTED.fullmatch(text):
        # Quotes only delimit: "1/4" is the fraction, so that every value has one meaning and one canonical spelling.
        try:
            return parse_value(quoted[1])
        except NameSyntaxError:
            return quoted[1]
    if text in _RESERVED:
        return _RESERVED[text]
    if len(text) > _LONGEST_NUMBER and _NUMBER_LIKE.fullmatch(text):
        raise NameSyntaxError(
            f"the number '{text[:12]}...' has {len(text)} characters; a number in a model's name has at most "
            f"{_LONGEST_NUMBER}"
        )
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return _plain(Fraction(text))
    if fraction := _FRACTION.fullmatch(text):
        if int(fraction[2]) == 0:
            raise NameSyntaxError(f"'{text}' divides by zero; give a fraction with a positive denominator, such as 1/4")
        return _plain(Fraction(int(fraction[1]), int(fraction[2])))
    if _WORD.fullmatch(text) or _SHAPE.fullmatch(text):
        return text
    raise NameSyntaxError(
        f"'{text}' is not a value; give a number, a fraction such as 1/4, a shape such as 64x64x1x1, a name, "
        "or any text in double quotes"
    )


def format_value(value: Value) -> str:
    """Print a value in its canonical spelling, which `parse_value` can read."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Fraction):
        return str(_plain(Fraction(value)))
    if '"' in value or "\n" in value:
        raise NameSyntaxError(
            f"the text {value!r} holds a double quote or a line break, which a model name cannot spell"
        )
    bare = (_WORD.fullmatch(value) or _SHAPE.fullmatch(value)) and value not in _RESERVED
    return value if bare else f'"{value}"'


def _plain(number: Fraction) -> int | Fraction:
    return number.numerator if number.denominator == 1 else number


def value_from_object(obj: object) -> Value:
    """Convert a YAML or Python scalar to a value: `0.25` and the text `1/4` both become a fraction.

    Raises:
        NameSyntaxError: The object is neither a number, a truth value nor a text.
    """
    if isinstance(obj, bool | Fraction):
        return obj if isinstance(obj, bool) else _plain(obj)
    if isinstance(obj, int):
        return obj
    if isinstance(obj, float):
        # repr gives the shortest decimal, as a person would write it.
        return parse_value(f"{obj:f}" if "e" in repr(obj) else repr(obj))
    if isinstance(obj, str):
        try:
            return parse_value(obj)
        except NameSyntaxError:
            return obj
    if isinstance(obj, list | tuple) and obj and all(isinstance(item, int) for item in obj):
        return "x".join(str(item) for item in obj)
    raise NameSyntaxError(f"{obj!r} is not a value; give a number, a truth value or a text")


@dataclass(frozen=True)
class ModelName:
    """A model name: a backbone, optionally a sharing method with its arguments, optionally a tag.

    Attributes:
        backbone: Registered name of the backbone, or `LIBRARY/ARCHITECTURE[(key=value,...)]` with sorted keys.
        method: Registered name of the sharing method, or None for the published network.
        args: The method's arguments, sorted by key.
        tag: Name of the weights; None for random initialization.
    """

    backbone: str
    method: str | None = None
    args: tuple[tuple[str, Value], ...] = ()
    tag: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.backbone, str) and "/" in self.backbone:
            object.__setattr__(self, "backbone", str(ArchitectureName.parse(self.backbone)))
            backbone = "named"  # checked already
        else:
            backbone = self.backbone
        object.__setattr__(self, "args", tuple(sorted((k, value_from_object(v)) for k, v in self.args)))
        for what, text, pattern in (
            ("backbone", backbone, _QUALIFIED),
            ("method", self.method, _QUALIFIED),
            ("tag", self.tag, _TAG),
            *(("argument", key, _NAME) for key, _ in self.args),
        ):
            if text is not None and not (isinstance(text, str) and pattern.fullmatch(text)):
                raise NameSyntaxError(f"'{text}' cannot name a {what}; a model name has the form {_FORM}")
        for _, value in self.args:
            format_value(value)  # refuses values that the grammar cannot spell here, rather than when printed
        if self.args and self.method is None:
            raise NameSyntaxError(f"arguments without a method; a model name has the form {_FORM}")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ModelName:
        """Parse the YAML form: keys `backbone`, `method`, `args` (a mapping) and `tag`.

        Raises:
            NameSyntaxError: A key is missing or unknown, or a value has the wrong type.
        """
        unknown = set(mapping) - {"backbone", "method", "args", "tag"}
        if unknown or "backbone" not in mapping:
            raise NameSyntaxError(
                "a model as a mapping has the keys backbone, method, args and tag, the first required; got "
                f"{sorted(mapping)}"
            )
        args = mapping.get("args") or {}
        if not isinstance(args, Mapping):
            raise NameSyntaxError(f"'args' of a model is a mapping such as {{ratio: 1/4}}; got {args!r}")
        return cls(mapping["backbone"], mapping.get("method"), tuple(args.items()), mapping.get("tag"))

    def __str__(self) -> str:
        text = self.backbone
        if self.method is not None:
            text += f"+{self.method}"
        text += _printed(self.args)
        if self.tag is not None:
            text += f".{self.tag}"
        return text

    @property
    def slug(self) -> str:
        """A file name for this model: readable, valid on every file system, and unique."""
        text = str(self)
        slug = re.sub(r"[^A-Za-z0-9_.=-]+", "-", text.replace("/", "of")).strip("-")
        # Names may become equal without punctuation, or on file systems that ignore case.
        return slug if slug == text == text.lower() else f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class ArchitectureName:
    """An architecture of another library: `LIBRARY/ARCHITECTURE[(key=value,...)]`.

    Attributes:
        source: Registered name of the library.
        architecture: The library's own name of the architecture.
        args: Arguments of its constructor, sorted by key.
    """

    source: str
    architecture: str
    args: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def parse(cls, text: str) -> ArchitectureName:
        """Parse the form that `str()` prints.

        Raises:
            NameSyntaxError: The text does not follow the grammar; the message gives the position.
        """
        reader = _Reader(text)
        name = reader.architecture()
        reader.end("'(' or the end")
        return name

    def __str__(self) -> str:
        return f"{self.source}/{self.architecture}{_printed(self.args)}"


def _printed(args: tuple[tuple[str, Value], ...]) -> str:
    return "(" + ",".join(f"{key}={format_value(value)}" for key, value in sorted(args)) + ")" if args else ""


class _Reader:
    """Recursive-descent parser of a model name."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise NameSyntaxError(
                f"'{self.text}' is not a model name: expected {what} at position {self.position + 1}"
                f" ({self.text[self.position : self.position + 12]!r}); the form is {_FORM}"
            )
        self.position = match.end()
        return match[0]

    def skip(self, symbol: str) -> bool:
        if self.text.startswith(symbol, self.position):
            self.position += len(symbol)
            return True
        return False

    def end(self, what: str) -> None:
        if self.position != len(self.text):
            self.take(re.compile(r"(?!)"), what)

    def arguments(self) -> dict[str, Value]:
        """Parse `(key=value,...)` if it is next."""
        args: dict[str, Value] = {}
        if not self.skip("("):
            return args
        spaces = re.compile(r"\s*")
        self.take(spaces, "")
        while not self.skip(")"):
            key = self.take(_NAME, "an argument or ')'")
            self.take(re.compile(r"\s*=\s*"), f"'=' and a value for '{key}'")
            quoted = self.text.startswith('"', self.position)
            value = parse_value(self.take(_QUOTED if quoted else _BARE, f"a value for '{key}'"))
            if key in args:
                raise NameSyntaxError(f"'{self.text}' gives '{key}' twice; keep one")
            args[key] = value
            self.take(spaces, "")
            if self.skip(","):
                self.take(spaces, "")
            elif not self.text.startswith(")", self.position):
                self.take(re.compile(r"(?!)"), "',' or ')'")
        return args

    def architecture(self) -> ArchitectureName:
        """Parse `LIBRARY/ARCHITECTURE[(key=value,...)]`."""
        library = self.take(_NAME, "a library")
        self.take(re.compile("/"), "'/'")
        architecture = self.take(_NAME, "an architecture")
        return ArchitectureName(library, architecture, tuple(sorted(self.arguments().items())))

    def backbone(self) -> str:
        """Parse a backbone of either form."""
        if re.compile(_NAME.pattern + "/").match(self.text, self.position):
            return str(self.architecture())
        return self.take(_QUALIFIED, "a backbone")


def parse(text: str) -> ModelName:
    """Parse a model name; `str()` of the result is its canonical spelling.

    Raises:
        NameSyntaxError: The text does not follow the grammar; the message gives the position.

    Example:
        >>> str(parse("edsr_baseline+ps(shape=64x64x1x1, ratio=4/16)"))
        'edsr_baseline+ps(ratio=1/4,shape=64x64x1x1)'
    """
    if len(text) > _LONGEST_NAME:
        raise NameSyntaxError(
            f"'{text[:40]}...' has {len(text):,} characters; a model's name has at most {_LONGEST_NAME}"
        )
    reader = _Reader(text)
    backbone = reader.backbone()
    method, tag = None, None
    args: dict[str, Value] = {}
    if reader.skip("+"):
        method = reader.take(_QUALIFIED, "a method")
        args = reader.arguments()
    if reader.skip("."):
        tag = reader.take(_TAG, "a tag")
    reader.end("'+METHOD', '.TAG' or the end")
    return ModelName(backbone, method, tuple(args.items()), tag)

"""Partial-filter shapes in model names; needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from srbench.plugin import ConfigError

__all__ = ["PartialShape", "Shape4"]

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class PartialShape:
    """A partial-filter shape: four sizes, where `C` means all channels and `K` the whole kernel.

    Attributes:
        parts: Input channels, output channels, height, width; None means all.
        text: As it was written.
    """

    parts: tuple[int | None, int | None, int | None, int | None]
    text: str

    @classmethod
    def parse(cls, text: str) -> PartialShape:
        """Read `64x64x1x1` or `CxCx1x1`.

        Raises:
            ConfigError: The text is not such a shape.
        """
        match = re.fullmatch(r"(C|[1-9]\d*)x(C|[1-9]\d*)x(K|[1-9]\d*)x(K|[1-9]\d*)", str(text))
        if match is None:
            raise ConfigError(
                f"shape={text} is not a partial-filter shape; write input channels x output channels x height x "
                "width, such as "
                "64x64x1x1 or CxCx1x1 (C: all channels, K: the whole kernel)"
            )
        sizes = [None if part in "CK" else int(part) for part in match.groups()]
        return cls((sizes[0], sizes[1], sizes[2], sizes[3]), str(text))

    def resolve(self, kernel: Shape4) -> Shape4:
        """Return the sizes for a kernel, with its own sizes for C and K."""
        sizes = [full if part is None else part for part, full in zip(self.parts, kernel, strict=True)]
        return (sizes[0], sizes[1], sizes[2], sizes[3])

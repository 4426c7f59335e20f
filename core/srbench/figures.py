"""Common parts of all figures: style, colors, and reproducible files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError
from srbench.untrusted import escaped, user_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FIGURE_COLORS",
    "FIGURE_DIVERGING",
    "FIGURE_DPI",
    "FigureSheet",
    "check_figure_path",
    "figure_style",
    "plain_text",
    "save_figure",
]

# Okabe and Ito's palette without its yellow, which is hard to see on white: distinct for every common colour blindness.
FIGURE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# For signed values, with zero white in the middle; the color-blind can distinguish blue and red.
FIGURE_DIVERGING = "RdBu_r"
# Of PNG files, in pixels per inch: a power of two, so that crops can be laid out in whole pixels.
FIGURE_DPI = 128

_FORMATS = (".png", ".svg")
_STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib: no machine draws another letter
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.titlesize": 11,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
    "svg.hashsalt": "srbench",  # identifiers inside an SVG are random otherwise
}


def check_figure_path(path: Path) -> None:
    """Refuse a figure that cannot be written, before any work is done.

    Raises:
        ConfigError: The path is invalid, the file's ending is neither .png nor .svg, or matplotlib is not installed.
    """
    if user_path(path, "figure to write").is_dir():
        raise ConfigError(f"a figure is written to a file; '{path}' is a folder")
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"a figure is written as {' or '.join(_FORMATS)}; got '{path.name}'")
    if find_spec("matplotlib") is None:
        raise ConfigError('figures are drawn by matplotlib, which is not installed: pip install "sr-bench[figures]"')


def plain_text(text: str, limit: int = 200) -> str:
    """Return text that matplotlib draws as it is: no mathematics between dollar signs, no control characters.

    Args:
        text: Any text, such as a model's name.
        limit: Maximum number of characters.
    """
    return escaped(text, limit).replace("$", r"\$")


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in sr-bench's style; the user's settings are ignored and restored afterwards."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        for setting, value in _STYLE.items():
            mpl.rcParams[setting] = value  # type: ignore[index]
        yield


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; the same figure gives the same bytes (with one version of matplotlib).

    Raises:
        StoreError: The file cannot be written.
    """
    from srbench.storage import write_atomic

    path = user_path(path, "figure to write")
    kind = path.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": "srbench"}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=FIGURE_DPI, metadata=metadata)
    write_atomic(path, buffer.getvalue())


class FigureSheet:
    """A figure with a layout in inches from its upper left corner, so that cells have a fixed size.

    Args:
        width: In inches.
        height: In inches.
        title: Text at the upper left.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        from matplotlib.figure import Figure as MatplotlibFigure

        self.width, self.height = width, height
        self.figure: Figure = MatplotlibFigure(figsize=(width, height))
        # A letter of this face is about 0.0087 inches wide per point of its size.
        size = min(11.0, (width - 0.24) / (0.0087 * max(len(title), 1)))
        self.text(0.12, 0.12, title, size=size, weight="bold", va="top")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes at a position, in inches."""
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def picture(self, left: float, top: float, width: float, height: float, values: Any, **options: Any) -> Any:
        """Show an array without ticks, in a thin frame, and return its mappable for a color bar."""
        axes = self.axes(left, top, width, height)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.4, color="0.5")
        return axes.imshow(values, aspect="auto", **options)

    def text(self, left: float, top: float, text: str, **options: Any) -> None:
        """Write text at a position, in inches."""
        self.figure.text(left / self.width, 1 - top / self.height, text, **{"va": "center", **options})

    def colorbar(self, image: Any, left: float, top: float, height: float, label: str) -> None:
        """Add a color bar, 0.12 inches wide."""
        bar = self.figure.colorbar(image, cax=self.axes(left, top, 0.12, height))
        bar.set_label(label)
        bar.outline.set_linewidth(0.4)

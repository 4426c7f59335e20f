"""A figure laid out in inches from its upper left corner, so that cells keep their size however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Sheet"]


class Sheet:
    """A page of a given size.

    Args:
        width: In inches.
        height: In inches.
        title: Stands at the upper left.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        from matplotlib.figure import Figure as MatplotlibFigure

        self.width, self.height = width, height
        self.figure: Figure = MatplotlibFigure(figsize=(width, height))
        # A letter of this face is about 0.0087 inches wide per point of its size.
        size = min(11.0, (width - 0.24) / (0.0087 * max(len(title), 1)))
        self.text(0.12, 0.12, title, size=size, weight="bold", va="top")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes at a place, all in inches."""
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def picture(self, left: float, top: float, width: float, height: float, values: Any, **options: Any) -> Any:
        """Show an array without ticks, in a thin frame, and return what a colour bar needs."""
        axes = self.axes(left, top, width, height)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.4, color="0.5")
        return axes.imshow(values, aspect="auto", **options)

    def text(self, left: float, top: float, text: str, **options: Any) -> None:
        """Write at a place, in inches."""
        self.figure.text(left / self.width, 1 - top / self.height, text, **{"va": "center", **options})

    def colorbar(self, image: Any, left: float, top: float, height: float, label: str) -> None:
        """Add a colour bar, 0.12 inches wide."""
        bar = self.figure.colorbar(image, cax=self.axes(left, top, 0.12, height))
        bar.set_label(label)
        bar.outline.set_linewidth(0.4)

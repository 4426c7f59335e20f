"""`srbench figure`: figures of networks and runs, drawn by plugins."""

from __future__ import annotations

import typer

from srbench.cli.contributed import FigureGroup

__all__ = ["app"]

app = typer.Typer(
    name="figure",
    cls=FigureGroup,
    help="Draw a figure of a network or a run, as PNG or SVG.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def group() -> None:
    """Draw a figure of a network or a run, as PNG or SVG. The kinds of figures are provided by plugins.

    Example: `srbench figure coefficients drrn_b1u9+ps.author -o coefficients.png`
    """

"""`srbench figure coefficients`: coefficient matrices of a layer at each scale, and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

__all__ = ["coefficients"]

_HEIGHT, _GAP, _TOP, _LEFT = 1.25, 0.3, 0.92, 0.62  # inches


def coefficients(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A multi-scale network with PS.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file.", metavar="FILE.png|FILE.svg")],
    layer: Annotated[str | None, typer.Option(help="The layer.", show_default="the first")] = None,
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="What --weights serves, where the file does not say it.", metavar="2,3,4")
    ] = None,
) -> None:
    """Show a layer's coefficient matrices, one per scale, and their differences.

    Figures 6 and 8 of the PS paper's supplement.

    Example: `srbench figure coefficients drrn_b1u9+ps.author -o coefficients.png`
    """
    from srbench.plugin import UnknownNameError, check_figure_path, figure_style, save_figure, suggest

    check_figure_path(output)

    from srbench_ps.loading import load_network, parse_scales, shared_layers

    network = load_network(model, weights, parse_scales(scales))
    layers = shared_layers(network)
    path = layer if layer is not None else next(iter(layers))
    if path not in layers:
        raise UnknownNameError(f"no layer '{path}' with coefficients" + suggest(path, layers, noun="layers"))
    matrices = {scale: layers[path].coefficients[f"x{scale}"].detach().double().numpy() for scale in network.scales}
    with figure_style():
        save_figure(_draw(str(network.model_name), path, matrices), output)
    typer.echo(f"{output}")


def _draw(name: str, path: str, matrices: Mapping[int, npt.NDArray[np.float64]]) -> Figure:
    import itertools

    import numpy as np

    from srbench.plugin import FIGURE_DIVERGING, FigureSheet

    limit = max(float(np.abs(matrix).max()) for matrix in matrices.values())
    tiles, filters = next(iter(matrices.values())).shape
    width = min(max(0.13 * filters, 1.6), 3.0)
    rows = [
        [(f"x{scale}", matrix) for scale, matrix in matrices.items()],
        [(f"x{a} − x{b}", matrices[a] - matrices[b]) for a, b in itertools.combinations(matrices, 2)],
    ]
    rows = [row for row in rows if row]
    columns = max(map(len, rows))
    total = _LEFT + columns * (width + _GAP) + 0.95
    bottom = _TOP + len(rows) * _HEIGHT + (len(rows) - 1) * 0.52
    sheet = FigureSheet(total, bottom + 0.5, f"Coefficients of {name}")
    about = f"layer {path}: {tiles} tiles of the kernel, {filters} partial filters"
    sheet.text(0.12, 0.44, f"{about}; one colour scale; rms: root mean square", color="0.35", size=8)
    image = None
    for number, row in enumerate(rows):
        top = _TOP + number * (_HEIGHT + 0.52)
        for column, (head, matrix) in enumerate(row):
            left = _LEFT + column * (width + _GAP)
            rms = float(np.sqrt(np.mean(matrix**2)))
            sheet.text(left, top - 0.12, head, weight="bold", size=9)
            sheet.text(left + width, top - 0.12, f"rms {rms:.3f}", ha="right", color="0.35", size=8)
            axes = sheet.axes(left, top, width, _HEIGHT)
            image = axes.imshow(matrix, aspect="auto", cmap=FIGURE_DIVERGING, vmin=-limit, vmax=limit)
            axes.set(xticks=_ticks(filters), yticks=_ticks(tiles) if column == 0 else [])
            for spine in axes.spines.values():
                spine.set(visible=True, linewidth=0.4, color="0.5")
            axes.tick_params(length=2, width=0.4)
            if column == 0:
                axes.set_ylabel("tile")
            if number == len(rows) - 1:
                axes.set_xlabel("partial filter")
    sheet.colorbar(image, total - 0.88, _TOP, bottom - _TOP, "coefficient")
    return sheet.figure


def _ticks(count: int) -> list[int]:
    """Return 0 and the last, and two between where there is room."""
    return sorted({0, (count - 1) // 3, 2 * (count - 1) // 3, count - 1})

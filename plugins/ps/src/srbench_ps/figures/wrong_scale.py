"""`srbench figure wrong-scale`: a network's output with the coefficients of other scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from srbench.plugin import Backbone, Protocol

__all__ = ["wrong_scale"]

_SIDE, _GAP, _TOP, _LEFT = 1.5, 0.0625, 0.875, 0.4375  # inches, all of them whole pixels of a PNG
_MARGIN = 24  # context around the crop in HR pixels: more than DRRN's receptive field


def wrong_scale(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A multi-scale network with PS.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file.", metavar="FILE.png|FILE.svg")],
    data: Annotated[str, typer.Option(help="A data set, or a folder of HR images.", metavar="NAME|DIR")] = (
        "embedded-test"
    ),
    image: Annotated[str | None, typer.Option(help="The image.", show_default="the first")] = None,
    size: Annotated[int, typer.Option(help="Side of the crop in HR pixels.", min=24, max=512)] = 96,
    at: Annotated[
        str | None, typer.Option(help="Where it is.", metavar="LEFT,TOP", show_default="the liveliest part")
    ] = None,
    task: Annotated[int | None, typer.Option(min=1, max=16, help="One scale only.", show_default="all")] = None,
    protocol: Annotated[str, typer.Option(help="How LR images are made and SR images compared.")] = "matlab-y",
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="What --weights serves, where the file does not say it.", metavar="2,3,4")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
) -> None:
    """Show an image upsampled with the coefficients of each scale, matching and not.

    Figure 7 of the PS paper's supplement; without other options on an image that is free of rights.

    Example: `srbench figure wrong-scale drrn_b1u9+ps.author -o wrong-scale.png`
    """
    from srbench.plugin import check_figure_path, figure_style, get_protocol, open_dataset, save_figure

    check_figure_path(output)
    found = get_protocol(protocol)
    dataset = open_dataset(data)
    name = image if image is not None else dataset.image_names()[0]
    hr = dataset.hr(name)

    import torch

    from srbench_ps.loading import load_network, parse_scales
    from srbench_ps.swap import check_scales

    if threads is not None:
        torch.set_num_threads(threads)
    network = load_network(model, weights, parse_scales(scales))
    tasks = network.scales if task is None else (task,)
    check_scales(network, tasks)
    crop = _place(hr, size, at, network.scales)
    rows = [_row(network, hr, crop, to, found) for to in tasks]
    terms = dataset.licence(name)
    source = f"{name} ({terms.author}, {terms.licence})" if terms is not None else name
    with figure_style():
        save_figure(_draw(str(network.model_name), source, network.scales, rows), output)
    typer.echo(f"{output}")


@dataclass(frozen=True)
class Crop:
    """A part of the HR image: whole pixels of every LR image."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """Pictures of one task: the HR crop, the enlarged input, one result per scale's coefficients; PSNR-Y of each."""

    task: int
    pictures: list[npt.NDArray[np.uint8]]
    psnr: list[float]


def _place(hr: npt.NDArray[np.uint8], size: int, at: str | None, scales: Sequence[int]) -> Crop:
    import math

    from srbench.plugin import ConfigError, crop_box

    unit = math.lcm(*scales)
    height, width = (side // unit * unit for side in hr.shape[:2])
    if at is None:
        top, left, bottom, right = crop_box(hr[:height, :width], size, unit)
        return Crop(left, top, right - left, bottom - top)
    try:
        left, top = (int(part) // unit * unit for part in at.split(","))
    except ValueError:
        raise ConfigError(f"--at takes two whole numbers, LEFT,TOP in HR pixels; got '{at}'") from None
    side = max(size // unit, 1) * unit
    if left < 0 or top < 0 or left + side > width or top + side > height:
        raise ConfigError(f"a crop of {side}x{side} at {left},{top} leaves the image of {width}x{height} pixels")
    return Crop(left, top, side, side)


def _row(network: Backbone, hr: npt.NDArray[np.uint8], crop: Crop, task: int, protocol: Protocol) -> Row:
    import dataclasses
    import math

    import numpy as np
    import torch

    from srbench.plugin import Comparison, fold, get_metric, image_batch, super_resolve
    from srbench_ps.swap import with_coefficients_of

    unit = math.lcm(*network.scales)
    cut = hr[: hr.shape[0] // unit * unit, : hr.shape[1] // unit * unit]
    lr = protocol.lr_image(cut, task)
    margin = -(-_MARGIN // unit) * unit
    top, left = max(crop.top - margin, 0), max(crop.left - margin, 0)
    bottom = min(crop.top + crop.height + margin, cut.shape[0])
    right = min(crop.left + crop.width + margin, cut.shape[1])
    part = np.ascontiguousarray(lr[top // task : bottom // task, left // task : right // task])
    rows = slice(crop.top - top, crop.top - top + crop.height)
    columns = slice(crop.left - left, crop.left - left + crop.width)

    def shown(output: torch.Tensor) -> npt.NDArray[np.uint8]:
        return protocol.quantise(output.permute(1, 2, 0).float().numpy())[rows, columns]

    truth = cut[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    with torch.inference_mode():
        enlarged = torch.nn.functional.interpolate(
            image_batch(part), scale_factor=task, mode="bicubic", align_corners=False
        )
        pictures = [truth, shown(enlarged[0].clamp(0, 1))]
        for source in network.scales:
            view = fold(with_coefficients_of(network, task, source)).eval()
            pictures.append(shown(super_resolve(view, part, task, torch.device("cpu"))[0]))
    measure, whole = get_metric("psnr_y"), dataclasses.replace(protocol, crop_border=0)
    values = [measure(Comparison.under(whole, picture, truth, task)) for picture in pictures[1:]]
    return Row(task, pictures, values)


def _draw(name: str, source: str, scales: Sequence[int], rows: Sequence[Row]) -> Figure:
    from srbench.plugin import FIGURE_COLORS, FigureSheet

    side = _side(rows[0].pictures[0].shape[1])
    step = side + 0.3125
    width = _LEFT + (2 + len(scales)) * (side + _GAP) + 0.125
    sheet = FigureSheet(width, _TOP + len(rows) * step + 0.0625, f"{name} with coefficients of other scales")
    about = f"{source}; below each picture PSNR-Y of the crop in dB; framed: the task's own coefficients"
    sheet.text(0.12, 0.44, about, color="0.35", size=8)
    for column, head in enumerate(("original", "LR, bicubic", *(f"coefficients of x{scale}" for scale in scales))):
        left = _LEFT + column * (side + _GAP)
        sheet.text(left + side / 2, _TOP - 0.12, head, ha="center", weight="bold", size=9)
    for number, row in enumerate(rows):
        top = _TOP + number * step
        sheet.text(_LEFT - 0.12, top + side / 2, f"task x{row.task}", rotation=90, ha="right", weight="bold", size=9)
        for column, picture in enumerate(row.pictures):
            if column == 0 and number:
                continue  # the original is the same for all
            left = _LEFT + column * (side + _GAP)
            image = sheet.picture(left, top, side, side, picture)
            if column:
                sheet.text(left + side / 2, top + side + 0.11, f"{row.psnr[column - 1]:.2f}", ha="center", size=8)
            if column >= 2 and scales[column - 2] == row.task:
                for spine in image.axes.spines.values():
                    spine.set(linewidth=2.2, color=FIGURE_COLORS[1])
    return sheet.figure


def _side(pixels: int) -> float:
    """Return about 1.5 inches, so that each pixel of a crop is a whole number of a PNG's pixels."""
    from srbench.plugin import FIGURE_DPI

    return max(round(_SIDE * FIGURE_DPI / pixels), 1) * pixels / FIGURE_DPI

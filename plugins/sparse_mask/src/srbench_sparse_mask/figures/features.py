"""`srbench figure features`: feature maps that are active everywhere, and maps that are active at edges only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from srbench.plugin import Backbone
    from srbench_sparse_mask.figures.features_drawing import Row

    Maps = npt.NDArray[np.float32]

__all__ = ["features"]


def features(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network with sparse masks, or with ReLUs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file.", metavar="FILE.png|FILE.svg")] = Path(
        "features.png"
    ),
    image: Annotated[
        str | None, typer.Option(help="Images, separated by commas.", show_default="the first of embedded-test")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Their data set.", metavar="NAME|DIR", show_default="the first standard set with them"),
    ] = None,
    count: Annotated[int, typer.Option(help="Number of maps of each kind.", min=1, max=8)] = 3,
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, max=16, help="The scale.", show_default="the first scale of the weights")
    ] = None,
    protocol: Annotated[str, typer.Option(help="The protocol that generates LR images.")] = "matlab-y",
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
) -> None:
    """Show dense and sparse feature maps of the first and the last block.

    In networks with sparse masks, the channel masks determine which channels are dense (Figure III of SMSR's
    supplement); otherwise the channels with the fewest and with the most zeros after the ReLU are shown (Figure I). For
    several images the same channels are shown, selected on the first one (Figure IV).

    Example: `srbench figure features smsr.author --image camera`

    Example: `srbench figure features edsr_tiny --weights weights.safetensors --image camera,chelsea`
    """
    from srbench.plugin import check_figure_path, figure_style, get_protocol, save_figure
    from srbench_sparse_mask.figures.images import about_weights, credit, find_images, joined

    check_figure_path(output)
    found, images = get_protocol(protocol), find_images(image, data)

    import torch

    from srbench.plugin import load_network
    from srbench_sparse_mask.block import masked_blocks

    if threads is not None:
        torch.set_num_threads(threads)
    network = load_network(model, weights, None if scale is None else (scale,))
    at = scale if scale is not None else network.scales[0]
    view = network.at_scale(at).eval()
    masked = any(True for _ in masked_blocks(view))
    lrs = {name: dataset.lr(name, at, found) for dataset, name in images}
    rows = (_masked if masked else _unmasked)(view, lrs, at, count)
    heads = (
        ("dense: computed everywhere", "sparse: computed where the mask is on")
        if masked
        else ("fewest zeros", "most zeros")
    )
    about = joined((*(credit(*place) for place in images), f"x{at}", about_weights(str(network.model_name), weights)))
    with figure_style():
        from srbench_sparse_mask.figures.features_drawing import draw

        save_figure(draw(str(network.model_name), about, heads, rows), output)
    typer.echo(f"{output}")


def _masked(network: Backbone, lrs: dict[str, npt.NDArray[np.uint8]], scale: int, count: int) -> list[Row]:
    import numpy as np

    from srbench_sparse_mask.figures.features_drawing import Row
    from srbench_sparse_mask.figures.recording import run_recorded

    rows: list[Row] = []
    chosen: dict[str, tuple[list[int], list[int]]] = {}
    for name, lr in lrs.items():
        modules = run_recorded(network, lr, scale, features=True)
        for module in dict.fromkeys((0, len(modules) - 1)):
            layer = modules[module].layers[0]
            assert layer.maps is not None  # asked for above
            order = np.argsort(-layer.maps.mean((1, 2)), kind="stable")
            if layer.path not in chosen:
                chosen[layer.path] = (
                    [int(c) for c in order if layer.dense[c]][:count],
                    [int(c) for c in order if not layer.dense[c]][:count],
                )
            rows.append(Row(name, lr, f"module {module + 1}, first layer", *_pick(layer.maps, chosen[layer.path])))
    return rows


def _unmasked(network: Backbone, lrs: dict[str, npt.NDArray[np.uint8]], scale: int, count: int) -> list[Row]:
    import numpy as np

    from srbench.plugin import ConfigError
    from srbench_sparse_mask.figures.features_drawing import Row
    from srbench_sparse_mask.figures.relu import no_relu, relu_maps

    rows: list[Row] = []
    chosen: dict[str, tuple[list[int], list[int]]] = {}
    for name, lr in lrs.items():
        seen: dict[str, Maps] = {}

        def keep(path: str, maps: Maps, seen: dict[str, Maps] = seen) -> None:
            # Only the first and the last are kept, because all maps of a deep network would fill the memory.
            if len(seen) > 1:
                seen.popitem()
            seen[path] = maps

        relu_maps(network, lr, scale, keep)
        if not seen:
            raise ConfigError(no_relu(network))
        for path, maps in seen.items():
            zeros = (maps == 0).mean((1, 2))
            alive = [int(c) for c in np.argsort(zeros, kind="stable") if zeros[c] < 1]
            chosen.setdefault(path, (alive[:count], alive[count:][-count:]))
            rows.append(Row(name, lr, f"after {path}", *_pick(maps, chosen[path])))
    return rows


def _pick(maps: Maps, channels: tuple[list[int], list[int]]) -> tuple[list[tuple[int, Maps]], list[tuple[int, Maps]]]:
    left, right = ([(channel, maps[channel]) for channel in kind] for kind in channels)
    return left, right

"""`srbench sparsity`: sparsity of a network's masks for each image and module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench_sparse_mask.accounting import ImageWork

__all__ = ["sparsity"]

# Papers count multiply-accumulates for an SR image of this many pixels.
_HD = 1280 * 720


def sparsity(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network with sparse masks, such as smsr.author.")],
    data: Annotated[str, typer.Option(help="A data set's name, or a folder of HR images.", metavar="NAME|DIR")],
    scale: Annotated[
        int | None, typer.Option(min=1, max=16, help="The scale.", show_default="the first scale of the weights")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    images: Annotated[str | None, typer.Option(help="Only these images, separated by commas.")] = None,
    protocol: Annotated[str, typer.Option(help="The protocol that generates LR images.")] = "matlab-y",
    device: Annotated[str, typer.Option(help="Where the network runs: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON.")] = None,
) -> None:
    """Show the sparsity of each module and the executed multiply-accumulates.

    Sparsity is the share of positions and channels that is not computed. Multiply-accumulates are counted from the
    masks and scaled by area to an SR image of 1280x720 pixels.

    Example: `srbench sparsity smsr.author --data Set5`
    """
    from srbench.plugin import check_json_target, get_protocol, open_dataset, write_json
    from srbench_sparse_mask.figures.images import find_images

    if json is not None:
        check_json_target(json)
    found, dataset = get_protocol(protocol), open_dataset(data)
    names = dataset.image_names() if images is None else [name for _, name in find_images(images, data)]

    import torch

    from srbench.plugin import image_batch, load_network, pick_device
    from srbench_sparse_mask.accounting import account

    place = pick_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    network = load_network(model, weights, None if scale is None else (scale,))
    at = scale if scale is not None else network.scales[0]
    view = network.at_scale(at).eval().to(place)
    works: dict[str, ImageWork] = {}
    for name in names:
        works[name] = account(view, image_batch(dataset.lr(name, at, found), place), at)[0]
    if json is not None:
        write_json(_payload(str(network.model_name), at, dataset, found, works), json)
    if json != "-":
        _show(f"{network.model_name} x{at} on {dataset.name}", works, at)


def _at_hd(macs: float, pixels: int, scale: int) -> float:
    return macs / pixels * _HD / scale**2


def _payload(name: str, scale: int, dataset: Any, protocol: Any, works: dict[str, ImageWork]) -> dict[str, Any]:
    return {
        "model": name,
        "scale": scale,
        "dataset": dataset.name,
        "dataset_hash": dataset.content_hash(),
        "protocol": protocol.name,
        "sparsity": sum(work.sparsity for work in works.values()) / len(works),
        "executed_macs": sum(_at_hd(work.executed, work.pixels, scale) for work in works.values()) / len(works),
        "dense_macs": sum(_at_hd(work.dense, work.pixels, scale) for work in works.values()) / len(works),
        "images": [
            {
                "image": image,
                "sparsity": work.sparsity,
                "executed_macs": _at_hd(work.executed, work.pixels, scale),
                "dense_macs": _at_hd(work.dense, work.pixels, scale),
                "modules": [
                    {
                        "path": module.path,
                        "sparsity": module.sparsity,
                        "active": module.active,
                        "dense_channels": list(module.dense),
                        "executed_macs": _at_hd(module.executed, work.pixels, scale),
                        "full_macs": _at_hd(module.full, work.pixels, scale),
                    }
                    for module in work.modules
                ],
            }
            for image, work in works.items()
        ],
    }


def _show(title: str, works: dict[str, ImageWork], scale: int) -> None:
    from srbench.plugin import print_table

    first = next(iter(works.values()))
    rows = []
    for image, work in works.items():
        rows.append([image, *(f"{module.sparsity:.3f}" for module in work.modules), *_sums(work, scale)])
    count = len(works)
    if count > 1:
        modules = zip(*(work.modules for work in works.values()), strict=True)
        executed = sum(_at_hd(work.executed, work.pixels, scale) for work in works.values()) / count
        dense = sum(_at_hd(work.dense, work.pixels, scale) for work in works.values()) / count
        rows.append(
            [
                "mean",
                *(f"{sum(module.sparsity for module in same) / count:.3f}" for same in modules),
                f"{sum(work.sparsity for work in works.values()) / count:.4f}",
                f"{executed / 1e9:.2f}",
                f"{executed / dense:.3f}",
            ]
        )
    columns = ["image", *(module.path for module in first.modules), "all", "executed, G", "of dense"]
    print_table(f"{title}: sparsity of each module, and multiply-accumulates for 1280x720", columns, rows)
    typer.echo(f"dense: {_at_hd(first.dense, first.pixels, scale) / 1e9:.2f} G, including the prediction of masks")
    if all(work.modules[0].dense == first.modules[0].dense for work in works.values()):
        typer.echo("channels computed everywhere, per layer:")
        for module in first.modules:
            typer.echo(f"  {module.path}: {', '.join(map(str, module.dense))}")


def _sums(work: ImageWork, scale: int) -> list[str]:
    executed = _at_hd(work.executed, work.pixels, scale)
    return [f"{work.sparsity:.4f}", f"{executed / 1e9:.2f}", f"{work.executed / work.dense:.3f}"]

"""Check before an evaluation, from shapes, whether it fits into memory."""

from __future__ import annotations

from srbench.cost.operators import on_meta, run
from srbench.data.datasets import Dataset
from srbench.errors import ConfigError, SRBenchError
from srbench.machine import available_memory
from srbench.models.backbone import Backbone

__all__ = ["LARGE", "check_fits"]

LARGE = 2**20
"""LR pixels below which nothing is checked, since networks then need far less memory than a machine has."""


def check_fits(
    model: Backbone,
    scale: int,
    dataset: Dataset,
    *,
    device: str = "cpu",
    tile: int | None = None,
    overlap: int = 0,
    bytes_per_number: int = 4,
) -> None:
    """Refuse an evaluation whose features alone exceed the available memory. Small images are not checked.

    The estimate is a lower bound (`Work.peak_bytes`): a refused evaluation cannot work, an accepted one may still
    fail.

    Args:
        model: The network, deployed for the scale.
        scale: The scale.
        dataset: The images; those whose size is unknown without decoding are skipped.
        device: Where it will run.
        tile: Side of tiles in LR pixels, if used.
        overlap: LR pixels by which tiles are extended on each side.
        bytes_per_number: 4 in float32, 2 in fp16 and bf16.

    Raises:
        ConfigError: The largest image does not fit; the message names the image, both sizes, and `--tile`.
    """
    sizes = [(size, image) for image in dataset.image_names() if (size := dataset.size(image)) is not None]
    (height, width), name = max(sizes, key=lambda item: item[0][0] * item[0][1], default=((0, 0), ""))
    height, width = height // scale, width // scale
    if tile is not None:
        height, width = min(height, tile + 2 * overlap), min(width, tile + 2 * overlap)
    if height * width < LARGE:
        return
    available = available_memory(device)
    if available is None:
        return
    try:
        needed = run(on_meta(model), scale, height, width).peak_bytes * bytes_per_number // 4
    except SRBenchError:
        return  # its operators cannot be counted, so its memory is unknown
    if needed > available:
        raise ConfigError(
            f"'{name}' will not fit into memory: an LR image of {width}x{height} pixels takes at least "
            f"{needed / 2**30:.1f} GiB, and {available / 2**30:.1f} GiB are free on {device}; give --tile 256 (in a "
            "suite: `inference: {tile: 256}`) or " + ("smaller images" if tile is None else "smaller tiles")
        )

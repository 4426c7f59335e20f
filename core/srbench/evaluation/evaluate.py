"""Evaluate a model on a data set under one or several protocols with the same LR images."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from srbench.data.datasets import Dataset
from srbench.errors import ConfigError, DataError, UnknownNameError, suggest
from srbench.evaluation.execution import Configured, TileError, configured, tile_error
from srbench.evaluation.options import DEFAULT, InferenceOptions
from srbench.evaluation.result import Evaluation
from srbench.images.files import write_png
from srbench.machine import check_threads, is_out_of_memory
from srbench.metrics.base import Metric, prepare
from srbench.metrics.comparison import Comparison
from srbench.models.image_batch import image_batch
from srbench.protocols import Protocol

__all__ = ["Options", "evaluate", "evaluate_protocols", "super_resolve"]

Image = npt.NDArray[np.uint8]

# Decoded images waiting for the network, and outputs waiting to be scored: enough to hide both, with bounded memory.
_AHEAD = 2


class Options(TypedDict, total=False):
    """Options of `evaluate`; see `evaluate_protocols`."""

    device: str | torch.device
    threads: int | None
    progress: Callable[[str, int, int], None] | None
    collect: Callable[[Protocol, str, Image, Image], None] | None
    save_images: Path | None
    image_filter: Callable[[str], bool] | Iterable[str] | None
    lr: Literal["generated", "shipped"]
    inference: InferenceOptions


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    scale: int,
    protocol: Protocol,
    metrics: Sequence[Metric],
    **options: Unpack[Options],
) -> Evaluation:
    """Evaluate a model on a data set under one protocol.

    Arguments, options and errors are as in `evaluate_protocols`.
    """
    (evaluation,) = evaluate_protocols(model, dataset, scale, [protocol], metrics, **options)
    return evaluation


def evaluate_protocols(
    model: nn.Module,
    dataset: Dataset,
    scale: int,
    protocols: Sequence[Protocol],
    metrics: Sequence[Metric],
    *,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    collect: Callable[[Protocol, str, Image, Image], None] | None = None,
    save_images: Path | None = None,
    image_filter: Callable[[str], bool] | Iterable[str] | None = None,
    lr: Literal["generated", "shipped"] = "generated",
    inference: InferenceOptions = DEFAULT,
) -> list[Evaluation]:
    """Evaluate a model on a data set under several protocols.

    While the network processes one image, the next is read and the previous one is scored. The network runs once per
    image, and its output is quantized and scored under each protocol.

    Args:
        model: Maps `(1, 3, h, w)` RGB in 0..1 and the scale to outputs of which `model.image(outputs)` is the SR image
            `(1, 3, s*h, s*w)` in 0..1. It is moved to the device and stays there; its training mode is restored.
            Under a luma-only protocol it must have `accepts_luma`, and is given `(1, 1, h, w)`.
        dataset: The HR images.
        scale: Integer of 1 or more.
        protocols: Each makes LR images, quantizes SR images and prepares the comparison. They must make the same LR
            images (equal `lr_digest`).
        metrics: Metrics to compute; each gets a column of its name.
        device: Where the network runs, e.g. `cuda`.
        threads: Torch's threads during the evaluation; unchanged if not given.
        progress: Called after each image with its name, the number of finished images, and the total number.
        collect: Called with the protocol, the image's name, and the SR and the HR image that were compared, uint8 RGB
            `(H, W, 3)` or luma `(H, W)`, including borders. It is called in another thread, once for each protocol and
            image, in no fixed order.
        save_images: Folder for the SR images, as PNG; with several protocols, each has a subfolder of its name.
        image_filter: A predicate on image names, or the names themselves; all images if not given.
        lr: Whether the protocol generates the LR images, or the data set's LR files are used.
        inference: How the network is run. The error of tiles is measured on a part of the first tiled image, with a
            warning if it is not bounded.

    Returns:
        One evaluation for each protocol, in their order.

    Raises:
        ConfigError: If scale, threads, `lr` or the filter are invalid, the protocols make different LR images, or the
            network or the device does not support `inference`.
        DataError: If an image is not usable, or the network's output has the wrong size or contains NaN.
        NetworkError: If an image is missing and cannot be downloaded.
        StoreError: If an SR image cannot be written.
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise ConfigError(f"the scale must be a whole number of 1 or more, got {scale!r}")
    if lr not in ("generated", "shipped"):
        raise ConfigError(f"lr is 'generated' or 'shipped', got {lr!r}")
    if threads is not None:
        check_threads(threads)
    if not metrics:
        raise ConfigError("there is no metric to compute; give at least one, e.g. psnr_y")
    _check_sharing_lr(protocols)
    images = _selected(dataset, image_filter)
    for metric in metrics:
        prepare(metric)

    _check_kind(model, protocols[0], lr)

    def load(image: str) -> tuple[npt.NDArray[Any], Image]:
        generated, hr = dataset.pair(image, scale, protocols[0])
        if lr == "generated":
            return generated, hr
        shipped = dataset.shipped_lr(image, scale)
        if shipped.shape != generated.shape:
            raise DataError(
                f"the x{scale} LR image of '{dataset.name}/{image}' is {shipped.shape[1]}x{shipped.shape[0]}, "
                f"its HR image asks for {generated.shape[1]}x{generated.shape[0]}"
            )
        return shipped, hr

    def score(image: str, output: Tensor, hr: Image, seconds: float) -> list[dict[str, Any]]:
        pixels = output.permute(1, 2, 0).float().cpu().numpy()
        if hr.ndim == 2:
            pixels = pixels[..., 0]
        found = []
        for protocol in protocols:
            sr = _quantised(pixels, protocol, hr.shape, scale, f"{dataset.name}/{image}")
            comparison = Comparison.under(protocol, sr, hr, scale)
            row: dict[str, Any] = {"image": image}
            row |= {metric.name: metric(comparison) for metric in metrics}
            if save_images is not None:
                folder = save_images if len(protocols) == 1 else save_images / protocol.name
                write_png(sr, folder / f"{image}.png")
            if collect is not None:
                collect(protocol, image, sr, hr)
            found.append(row | {"forward_seconds": seconds})
        return found

    rows: list[list[dict[str, Any]]] = []
    device = torch.device(device)
    error: TileError | None = None
    with _inference(model, device, threads), ThreadPoolExecutor(2, thread_name_prefix="srbench-evaluate") as pool:
        pending: deque[Future[list[dict[str, Any]]]] = deque()

        def finish_one() -> None:
            rows.append(pending.popleft().result())
            if progress is not None:
                progress(rows[-1][0]["image"], len(rows), len(images))

        try:
            network = configured(model, inference, device)
            for image, (lr_image, hr) in zip(images, _ahead(pool, load, images), strict=True):
                if error is None and inference.tile is not None:  # until an image is large enough to be tiled
                    error = tile_error(model, image_batch(lr_image, device), scale, inference)
                if image == images[0] and isinstance(network, Configured):
                    network.warm_up(image_batch(lr_image, device), scale)
                output, seconds = super_resolve(network, lr_image, scale, device)
                pending.append(pool.submit(score, image, output, hr, seconds))
                while pending and (len(pending) > _AHEAD or pending[0].done()):
                    finish_one()
            while pending:
                finish_one()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise

    import pandas as pd

    columns = ["image", *(metric.name for metric in metrics), "forward_seconds"]
    return [
        Evaluation(dataset.name, scale, protocol, tuple(metrics), pd.DataFrame(list(found), columns=columns), error)
        for protocol, found in zip(protocols, zip(*rows, strict=True), strict=True)
    ]


def super_resolve(model: nn.Module, lr: npt.NDArray[Any], scale: int, device: torch.device) -> tuple[Tensor, float]:
    """Return the SR image of an LR image, and the seconds of the network's forward pass.

    Args:
        model: As for `evaluate`.
        lr: RGB `(h, w, 3)` or luma `(h, w)`, uint8 or float64, in 0..255.
        scale: The upsampling factor.
        device: Where the network runs.

    Returns:
        A tensor `(3, H, W)`, about 0..1, on the device; `(1, H, W)` if luma was given.

    Raises:
        DataError: If the output is not one image with as many channels, or contains NaN or infinity.
    """
    batch = image_batch(lr, device)
    _wait(device)
    start = time.perf_counter()
    try:
        output = model.image(model(batch, scale))  # type: ignore[operator]
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigError(
            f"an LR image of {batch.shape[-1]}x{batch.shape[-2]} pixels does not fit into the memory of {device}; give "
            "--tile 256 (in a suite: `inference: {tile: 256}`)"
        ) from error
    _wait(device)
    seconds = time.perf_counter() - start
    channels = batch.shape[1]
    if output.ndim != 4 or output.shape[:2] != (1, channels):
        raise DataError(f"a model's SR image must have shape (1, {channels}, H, W), got {tuple(output.shape)}")
    # One pass: the sum is finite if and only if all its terms are (in float64, images in 0..1 cannot overflow).
    if not bool(torch.isfinite(output.sum(dtype=torch.float64))):
        raise DataError(_not_finite(model))
    return output[0], seconds


def _not_finite(model: nn.Module) -> str:
    half = isinstance(model, Configured) and model.options.dtype == "fp16"
    return "the model's output holds NaN or infinity: it diverged in training, or its weights are damaged" + (
        ", or its features exceed the range of fp16; try bf16 or fp32" if half else ""
    )


def _check_sharing_lr(protocols: Sequence[Protocol]) -> None:
    """Raise `ConfigError` unless one pass of the network is enough for all protocols."""
    if not protocols:
        raise ConfigError("there is no protocol to evaluate under; give at least one, e.g. matlab-y")
    names = [protocol.name for protocol in protocols]
    if len(set(names)) < len(names):
        raise ConfigError(f"a protocol is given twice: {', '.join(names)}")
    if len({protocol.lr_digest for protocol in protocols}) > 1:
        raise ConfigError(
            f"the protocols {', '.join(names)} make different LR images and cannot share the network's outputs; "
            "evaluate under one after the other"
        )


def _check_kind(model: nn.Module, protocol: Protocol, lr: str) -> None:
    """Refuse a network or LR files that a protocol cannot use."""
    if protocol.lr_channels == "y" and not getattr(model, "accepts_luma", False):
        name = getattr(model, "model_name", None) or type(model).__name__
        raise ConfigError(
            f"the protocol '{protocol.name}' gives a network only luma, and '{name}' takes only RGB images; "
            "evaluate it under matlab-y, or choose a network for luma, e.g. bicubic"
        )
    if lr == "shipped" and (protocol.lr_channels != "rgb" or protocol.lr_rounding == "none"):
        raise ConfigError(
            f"the protocol '{protocol.name}' makes LR images that are not 8-bit RGB; leave out lr='shipped', or "
            "evaluate under matlab-y"
        )


def _quantised(
    output: npt.NDArray[np.float32], protocol: Protocol, shape: tuple[int, ...], scale: int, name: str
) -> Image:
    try:
        return protocol.quantise(protocol.fitted(output, shape, scale))
    except DataError as error:
        raise DataError(f"'{name}': {error}") from error


def _selected(dataset: Dataset, image_filter: Callable[[str], bool] | Iterable[str] | None) -> list[str]:
    names = dataset.image_names()
    if image_filter is None:
        return names
    if callable(image_filter):
        chosen = [name for name in names if image_filter(name)]
    else:
        wanted = list(image_filter)
        for name in wanted:
            if name not in names:
                ending = suggest(name, names, noun="images")
                raise UnknownNameError(f"no image '{name}' in data set '{dataset.name}'{ending}")
        chosen = [name for name in names if name in wanted]
    if not chosen:
        raise ConfigError(f"the filter leaves none of the {len(names)} images of data set '{dataset.name}'")
    return chosen


def _ahead(
    pool: ThreadPoolExecutor, load: Callable[[str], tuple[npt.NDArray[Any], Image]], images: Sequence[str]
) -> Iterator[tuple[npt.NDArray[Any], Image]]:
    """Yield the results of `load` for each image, in order, reading a few images ahead."""
    waiting: deque[Future[tuple[npt.NDArray[Any], Image]]] = deque()
    for image in images:
        waiting.append(pool.submit(load, image))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _inference(model: nn.Module, device: torch.device, threads: int | None) -> Iterator[None]:
    """Put a model on a device in evaluation mode, in full float32; restore mode, threads and TF32 afterwards."""
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be 1 or more, got {threads}")
    before = torch.get_num_threads()
    training = model.training
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    # TF32 keeps 10 bits of each factor: PSNR would differ between GPU and CPU in the second decimal.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model.to(device).eval()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        model.train(training)


def _wait(device: torch.device) -> None:
    """Wait for the device: kernels run asynchronously, so a clock would stop too early."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

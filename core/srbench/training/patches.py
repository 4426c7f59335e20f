"""Training patches: batches that depend only on seed and iteration, cut from decoded images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srbench.errors import DataError
from srbench.training.augmentation import scaled_pair, smallest_factor
from srbench.training.image_cache import PreparedImages, prepare_arrays

if TYPE_CHECKING:
    from srbench.training.recipe import Recipe

__all__ = ["Batch", "Draw", "PatchTable", "TrainingPatches", "draw"]

# Index tables of this many iterations go to an accelerator in one transfer.
_TABLES_AT_ONCE = 64

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Draw:
    """The random choices that define one batch.

    Attributes:
        scale: The scale of all patches of the batch.
        image: Index of each patch's image, `(N,)`.
        position: Row and column of each patch's corner, as fractions in [0, 1) of the possible range, `(N, 2)`.
        mirror: Whether each patch is mirrored left-right, `(N,)`.
        flip: Whether each patch is mirrored top-bottom, `(N,)`.
        transpose: Whether rows and columns are then swapped, `(N,)`; with the two flips this gives all rotations.
        factor: Factor by which each patch's image is first downscaled, `(N,)`; 1 without scale augmentation.
    """

    scale: int
    image: npt.NDArray[np.int64]
    position: npt.NDArray[np.float64]
    mirror: npt.NDArray[np.bool_]
    flip: npt.NDArray[np.bool_]
    transpose: npt.NDArray[np.bool_]
    factor: npt.NDArray[np.float64]


def draw(recipe: Recipe, iteration: int, *, scales: Sequence[int], images: int) -> Draw:
    """Draw the patches of one iteration.

    The generator is Philox, a counter-based generator, with (seed, iteration) as its key. So no two iterations share
    a sequence, checkpoints need no random state, and any iteration can be drawn without the previous ones.

    Args:
        recipe: Defines seed, batch size and augmentations.
        iteration: Number of the iteration, counted from 1.
        scales: The scales, one of which is drawn uniformly.
        images: Number of images; each patch's image is drawn uniformly, with replacement.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    """
    random = np.random.Generator(np.random.Philox(key=np.array([recipe.seed, iteration], dtype=np.uint64)))
    count = recipe.batch_size
    scale = scales[int(random.integers(len(scales)))]
    image = random.integers(images, size=count)
    position = random.random((count, 2))
    # All three are always drawn, so that switching off one augmentation does not move the patches.
    mirror, flip, transpose = random.random((3, count)) < 0.5
    # Drawn last, for the same reason.
    smallest, largest = recipe.scale_augmentation or (1.0, 1.0)
    factor = smallest + (largest - smallest) * random.random(count)
    return Draw(
        scale=scale,
        image=image,
        position=position,
        mirror=mirror & recipe.hflip,
        flip=flip & recipe.rot90,
        transpose=transpose & recipe.rot90,
        factor=factor,
    )


@dataclass(frozen=True)
class Batch:
    """One batch of patches.

    Attributes:
        lr: RGB patches in 0..1, `(N, 3, side, side)`.
        hr: RGB patches in 0..1, `(N, 3, scale * side, scale * side)`.
        scale: The scale.
    """

    lr: Tensor
    hr: Tensor
    scale: int


class TrainingPatches:
    """Cut batches of aligned LR and HR patches from decoded images in memory.

    LR images are made once with Matlab's bicubic, from whole images cropped to a multiple of the scale. An LR patch
    is a crop of the LR image, as it would be if both were files. In main memory patches are sliced. On an accelerator
    the images are in one buffer, and a batch is one gather; images that do not fit there stay in main memory. With
    scale augmentation each patch comes from an image of a different size, and its pixels are computed on demand on
    the CPU.
    """

    def __init__(
        self,
        images: dict[str, Image] | PreparedImages,
        recipe: Recipe,
        scales: Sequence[int],
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare the images.

        Args:
            images: RGB images by name, uint8 `(H, W, 3)`; or prepared images, which several trainings can share.
            recipe: Defines patch size, batch size, seed and augmentations.
            scales: Scales to make LR images for.
            device: Device of the batches.

        Raises:
            DataError: There are no images, or one is smaller than a patch.
            ConfigError: The patch size is not a multiple of a scale.
        """
        recipe.check_scales(tuple(scales))
        if not images:
            raise DataError("there is no image to train on.")
        if not isinstance(images, PreparedImages):
            for scale in scales:
                _check_sizes({name: image.shape[:2] for name, image in images.items()}, recipe, scale)
            images = prepare_arrays(images, tuple(scales))
        for scale in scales:
            _check_sizes({n: hr.shape[1:] for n, hr in zip(images.names, images.hr, strict=True)}, recipe, scale)
        self.recipe = recipe
        self.scales = tuple(scales)
        self.device = torch.device(device)
        self.names = images.names
        self._hr, self._lr = images.hr, images.lr
        self._sizes = {
            scale: np.array([image.shape[1:] for image in self._lr[scale]]).reshape(-1, 2) for scale in self.scales
        }
        self._scaled = recipe.scale_augmentation is not None
        self._images = [np.ascontiguousarray(hr.transpose(1, 2, 0)) for hr in images.hr] if self._scaled else []
        self.resident = self.device.type != "cpu" and not self._scaled and images.fits(self.device)
        if self.resident:
            self._flat_hr = _Flat(images.hr, images.buffer(None, self.device))
            self._flat_lr = {scale: _Flat(images.lr[scale], images.buffer(scale, self.device)) for scale in self.scales}
        self._tables: dict[int, PatchTable] = {}

    def batch(self, iteration: int) -> Batch:
        """Return the batch of an iteration (counted from 1); the same iteration always gives the same batch."""
        if self.resident:
            return self.table(iteration).cut()
        drawn, corner, side = self._drawn(iteration)
        scale = drawn.scale
        if self._scaled:
            return self._scaled_batch(drawn, side)
        lr = _cut(self._lr[scale], drawn, corner, side)
        hr = _cut(self._hr, drawn, corner * scale, side * scale)
        if self.device.type != "cpu":
            lr, hr = (part.pin_memory().to(self.device, non_blocking=True) for part in (lr, hr))
        return Batch(lr=lr.float().div_(255), hr=hr.float().div_(255), scale=scale)

    def table(self, iteration: int) -> PatchTable:
        """Return the positions of an iteration's patches in the device's buffers; images must be `resident`."""
        if iteration not in self._tables:
            several = [self._host_table(number) for number in range(iteration, iteration + _TABLES_AT_ONCE)]
            on_host = torch.from_numpy(np.stack([table for _, table in several]))
            if self.device.type == "cuda":
                on_host = on_host.pin_memory()
            tables = on_host.to(self.device, non_blocking=True)
            self._tables = {
                iteration + offset: PatchTable(self, scale, tables[offset]) for offset, (scale, _) in enumerate(several)
            }
        return self._tables[iteration]

    def _drawn(self, iteration: int) -> tuple[Draw, npt.NDArray[np.int64], int]:
        """Return a draw, the corners of its LR patches, and their side length."""
        drawn = draw(self.recipe, iteration, scales=self.scales, images=len(self.names))
        side = self.recipe.lr_side(drawn.scale)
        corner = (drawn.position * (self._sizes[drawn.scale][drawn.image] - side + 1)).astype(np.int64)
        return drawn, corner, side

    def _host_table(self, iteration: int) -> tuple[int, npt.NDArray[np.int64]]:
        drawn, corner, side = self._drawn(iteration)
        scale = drawn.scale
        lr = self._flat_lr[scale].table(drawn, corner, side)
        hr = self._flat_hr.table(drawn, corner * scale, side * scale)
        return scale, np.stack([lr, hr])

    def gather(self, table: Tensor, scale: int) -> Batch:
        """Return the batch described by a scale's table `(2, 4, N)`; see `PatchTable`."""
        side = self.recipe.lr_side(scale)
        lr = self._flat_lr[scale].gather(table[0], side)
        hr = self._flat_hr.gather(table[1], side * scale)
        return Batch(lr=lr.float().div_(255), hr=hr.float().div_(255), scale=scale)

    def _scaled_batch(self, drawn: Draw, side: int) -> Batch:
        """Return the batch of a draw whose images are first downscaled."""
        pairs: list[tuple[Image, Image]] = []
        for number, index in enumerate(drawn.image.tolist()):
            image = self._images[index]
            # An image hardly larger than a patch is downscaled only as far as it still contains one.
            factor = max(float(drawn.factor[number]), smallest_factor(image, side * drawn.scale))
            lr, hr = scaled_pair(image, factor, drawn.scale, drawn.position[number], side)
            pairs.append((_turned(_planar(lr), drawn, number), _turned(_planar(hr), drawn, number)))
        lr_batch, hr_batch = (torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*pairs, strict=True))
        return Batch(lr=lr_batch.float().div_(255), hr=hr_batch.float().div_(255), scale=drawn.scale)


@dataclass(frozen=True)
class PatchTable:
    """Positions of one batch's patches in pixel buffers, stored on the device.

    Attributes:
        patches: The object that cuts them.
        scale: The scale of all patches.
        table: For LR and for HR: first element, elements of a plane, and the strides of a step down and to the right,
            `(2, 4, N)`.
    """

    patches: TrainingPatches
    scale: int
    table: Tensor

    def cut(self) -> Batch:
        """Return the batch; all work is done on the device."""
        return self.patches.gather(self.table, self.scale)

    def with_table(self, table: Tensor) -> PatchTable:
        """Return a copy whose positions are in another tensor."""
        return PatchTable(self.patches, self.scale, table)


def _check_sizes(sizes: dict[str, tuple[int, ...]], recipe: Recipe, scale: int) -> None:
    side = recipe.lr_side(scale) * scale
    small = [name for name, shape in sizes.items() if min(shape) // scale * scale < side]
    if small:
        key, size = ("gt_size", side) if recipe.gt_size is not None else ("lr_size", recipe.lr_size)
        at = "" if recipe.gt_size is not None else f" at scale {scale}"
        raise DataError(
            f"{len(small)} of {len(sizes)} training images are smaller than {key} {size}{at}: "
            f"{', '.join(small[:5])}{', ...' if len(small) > 5 else ''}; take a smaller {key} or other images."
        )


def _planar(image: Image) -> Image:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _cut(images: list[Image], drawn: Draw, corner: npt.NDArray[np.int64], side: int) -> Tensor:
    """Return the patches as uint8 `(N, 3, side, side)`, sliced individually."""
    batch = np.empty((len(corner), 3, side, side), dtype=np.uint8)
    for number, (row, column) in enumerate(corner.tolist()):
        patch = images[drawn.image[number]][:, row : row + side, column : column + side]
        batch[number] = _turned(patch, drawn, number)
    return torch.from_numpy(batch)


def _turned(patch: Image, drawn: Draw, number: int) -> Image:
    """Flip and rotate one patch `(3, side, side)`."""
    if drawn.mirror[number]:
        patch = patch[:, :, ::-1]
    if drawn.flip[number]:
        patch = patch[:, ::-1]
    if drawn.transpose[number]:
        patch = patch.transpose(0, 2, 1)
    return patch


class _Flat:
    """Images in one buffer on a device, cut by index arithmetic; flips and rotations are strides."""

    def __init__(self, images: Sequence[Image], pixels: Tensor) -> None:
        sizes = np.array([image.size for image in images])
        self.start = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        self.height = np.array([image.shape[1] for image in images])
        self.width = np.array([image.shape[2] for image in images])
        self.pixels = pixels

    def table(self, drawn: Draw, corner: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
        """Return first element, plane size and strides of each patch, `(4, N)`."""
        height, width = self.height[drawn.image], self.width[drawn.image]
        start = self.start[drawn.image] + corner[:, 0] * width + corner[:, 1]
        start = start + np.where(drawn.flip, (side - 1) * width, 0) + np.where(drawn.mirror, side - 1, 0)
        down = np.where(drawn.flip, -width, width)
        right = np.where(drawn.mirror, -1, 1)
        down, right = np.where(drawn.transpose, right, down), np.where(drawn.transpose, down, right)
        return np.stack([start, height * width, down, right])

    def gather(self, table: Tensor, side: int) -> Tensor:
        """Return the same patches as `_cut`, in one gather."""
        first, plane, down, right = table[:, :, None, None, None].unbind()
        steps = torch.arange(side, device=self.pixels.device)
        channels = torch.arange(3, device=self.pixels.device)
        index: Any = first + plane * channels[:, None, None] + down * steps[:, None] + right * steps
        return self.pixels[index]

"""Training patches: batches that are a function of seed and iteration alone, cut from images that are held decoded."""

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

# Index tables of so many iterations go to an accelerator in one transfer.
_TABLES_AT_ONCE = 64

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Draw:
    """Say which patches make up one batch.

    Attributes:
        scale: The scale of all patches of the batch.
        image: Index of each patch's image, `(N,)`.
        position: Where each patch begins, row and column, as fractions in [0, 1) of the possible range, `(N, 2)`.
        mirror: Whether each patch is mirrored left-right, `(N,)`.
        flip: Whether each patch is mirrored top-bottom, `(N,)`.
        transpose: Whether rows and columns are then exchanged; with the two mirrorings it gives all turns, `(N,)`.
        factor: By how much each patch's image is made smaller first, `(N,)`; 1 without scale augmentation.
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

    The generator is Philox, a counter under a key, and the key is (seed, iteration). So two iterations never share a
    sequence, there is no state that a checkpoint could lose, and any iteration can be drawn without those before it.

    Args:
        recipe: Gives seed, batch size and augmentations.
        iteration: Number of the iteration, from 1 on.
        scales: The scales to draw one from, uniformly.
        images: How many images there are; each patch's image is drawn uniformly, with replacement.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    """
    random = np.random.Generator(np.random.Philox(key=np.array([recipe.seed, iteration], dtype=np.uint64)))
    count = recipe.batch_size
    scale = scales[int(random.integers(len(scales)))]
    image = random.integers(images, size=count)
    position = random.random((count, 2))
    # All three are drawn whether used or not: switching one augmentation off leaves the patches where they were.
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
    """Hold one batch.

    Attributes:
        lr: RGB patches in 0..1, `(N, 3, side, side)`.
        hr: RGB patches in 0..1, `(N, 3, scale * side, scale * side)`.
        scale: Their scale.
    """

    lr: Tensor
    hr: Tensor
    scale: int


class TrainingPatches:
    """Cut batches of aligned LR and HR patches from images that are held decoded.

    LR images are made once, from whole images cropped to a multiple of the scale, by Matlab's bicubic; an LR patch is a
    crop of the LR image, as it would be if both were files. In the main memory patches are sliced; on an accelerator
    the images lie in one buffer there, and a batch is one gather. Images that do not fit there stay in the main memory.
    With scale augmentation each patch is of an image of its own size, and its pixels are computed when it is drawn, on
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
            images: RGB images by name, uint8 `(H, W, 3)`; or images that are prepared, for several trainings to share.
            recipe: Gives patch size, batch size, seed and augmentations.
            scales: Scales to make LR images for.
            device: Where batches are wanted.

        Raises:
            DataError: There is no image, or one is smaller than a patch.
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
        """Return the batch of an iteration (from 1 on); the same iteration always gives the same batch."""
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
        """Return where the patches of an iteration lie in the buffers of the device; images must be `resident`."""
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
        """Return a draw, the corners of its LR patches, and their side."""
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
        """Return the batch that a table `(2, 4, N)` of a scale describes; see `PatchTable`."""
        side = self.recipe.lr_side(scale)
        lr = self._flat_lr[scale].gather(table[0], side)
        hr = self._flat_hr.gather(table[1], side * scale)
        return Batch(lr=lr.float().div_(255), hr=hr.float().div_(255), scale=scale)

    def _scaled_batch(self, drawn: Draw, side: int) -> Batch:
        """Return the batch of a draw whose images are made smaller first."""
        pairs: list[tuple[Image, Image]] = []
        for number, index in enumerate(drawn.image.tolist()):
            image = self._images[index]
            # An image that is nearly as small as a patch stays large enough to hold one.
            factor = max(float(drawn.factor[number]), smallest_factor(image, side * drawn.scale))
            lr, hr = scaled_pair(image, factor, drawn.scale, drawn.position[number], side)
            pairs.append((_turned(_planar(lr), drawn, number), _turned(_planar(hr), drawn, number)))
        lr_batch, hr_batch = (torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*pairs, strict=True))
        return Batch(lr=lr_batch.float().div_(255), hr=hr_batch.float().div_(255), scale=drawn.scale)


@dataclass(frozen=True)
class PatchTable:
    """Say where the patches of one batch lie in buffers of pixels, as numbers on the device.

    Attributes:
        patches: What they are cut by.
        scale: The scale of all patches.
        table: For LR and for HR: first element, elements of a plane, and the strides of a step down and to the right,
            `(2, 4, N)`.
    """

    patches: TrainingPatches
    scale: int
    table: Tensor

    def cut(self) -> Batch:
        """Return the batch; everything happens on the device."""
        return self.patches.gather(self.table, self.scale)

    def with_table(self, table: Tensor) -> PatchTable:
        """Return the same with its numbers in another tensor."""
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
    """Return the patches as uint8 `(N, 3, side, side)`, sliced one by one."""
    batch = np.empty((len(corner), 3, side, side), dtype=np.uint8)
    for number, (row, column) in enumerate(corner.tolist()):
        patch = images[drawn.image[number]][:, row : row + side, column : column + side]
        batch[number] = _turned(patch, drawn, number)
    return torch.from_numpy(batch)


def _turned(patch: Image, drawn: Draw, number: int) -> Image:
    """Mirror and turn one patch `(3, side, side)`."""
    if drawn.mirror[number]:
        patch = patch[:, :, ::-1]
    if drawn.flip[number]:
        patch = patch[:, ::-1]
    if drawn.transpose[number]:
        patch = patch.transpose(0, 2, 1)
    return patch


class _Flat:
    """Images in one buffer of a device, cut by index arithmetic: mirroring and turning are strides."""

    def __init__(self, images: Sequence[Image], pixels: Tensor) -> None:
        sizes = np.array([image.size for image in images])
        self.start = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        self.height = np.array([image.shape[1] for image in images])
        self.width = np.array([image.shape[2] for image in images])
        self.pixels = pixels

    def table(self, drawn: Draw, corner: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
        """Return first element, size of a plane, and strides of each patch, `(4, N)`."""
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

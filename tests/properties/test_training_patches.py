"""Laws of the training data: what is drawn, and that LR and HR patches show the same."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from srbench.images.resize import imresize
from srbench.protocols import get_protocol
from srbench.training.augmentation import scaled_pair
from srbench.training.patches import TrainingPatches, _cut, _Flat, draw
from srbench.training.recipe import Recipe

SEEDS = st.integers(0, 2**63 - 1)
ITERATIONS = st.integers(1, 2**40)
SCALES = st.lists(st.integers(2, 4), min_size=1, max_size=3, unique=True)


def _recipe(seed: int, **changes: object) -> Recipe:
    return Recipe.model_validate({"iterations": 1, "batch_size": 4, "gt_size": 12, "seed": seed, **changes})


def _images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {f"i{n}": rng.integers(0, 256, (17 + 3 * n, 29 - 2 * n, 3), dtype=np.uint8) for n in range(4)}


IMAGES = _images()


def _equal(one, other) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


@given(SEEDS, ITERATIONS, SCALES)
def test_an_iterations_draw_does_not_depend_on_what_was_drawn_before(seed: int, iteration: int, scales) -> None:
    """Law: draw(seed, iteration) is a function, so that a resumed training sees what an uninterrupted one sees."""
    recipe = _recipe(seed)
    first = draw(recipe, iteration, scales=scales, images=4)
    draw(recipe, iteration + 1, scales=scales, images=4)
    np.random.default_rng(0).random()
    assert _equal(draw(recipe, iteration, scales=scales, images=4), first)


@given(st.tuples(SEEDS, ITERATIONS), st.tuples(SEEDS, ITERATIONS))
def test_no_two_iterations_and_no_two_seeds_share_their_draws(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Law: distinct (seed, iteration) give distinct sequences, so no iteration repeats another's augmentations."""
    draws = [draw(_recipe(seed), iteration, scales=(2, 3), images=4) for seed, iteration in (one, other)]
    assert np.array_equal(draws[0].position, draws[1].position) == (one == other)


@given(SEEDS)
def test_neighbouring_iterations_and_seeds_differ_too(seed: int) -> None:
    """Law: as above, where a weak mixing of seed and iteration (their sum, say) would fail."""
    near = [(min(seed + a, 2**63 - 1), 1 + b) for a in range(3) for b in range(3)]
    positions = {pair: draw(_recipe(pair[0]), pair[1], scales=(2,), images=4).position.tobytes() for pair in near}
    assert len(set(positions.values())) == len(positions)


@given(SEEDS, ITERATIONS, SCALES)
def test_the_device_gather_cuts_the_same_patches_as_slicing(seed: int, iteration: int, scales) -> None:
    """Law: strides of an index computation equal mirroring, flipping and transposing views."""
    recipe = _recipe(seed)
    patches = TrainingPatches(IMAGES, recipe, scales)
    drawn = draw(recipe, iteration, scales=scales, images=4)
    side = 12 // drawn.scale
    corner = (drawn.position * 2).astype(np.int64)  # the smallest LR image is one pixel larger than its patch
    for images, factor in ((patches._lr[drawn.scale], 1), (patches._hr, drawn.scale)):
        sliced = _cut(images, drawn, corner * factor, side * factor)
        flat = _Flat(images, torch.from_numpy(np.concatenate([image.ravel() for image in images])))
        table = torch.from_numpy(flat.table(drawn, corner * factor, side * factor))
        assert torch.equal(flat.gather(table, side * factor), sliced)


@given(SEEDS, ITERATIONS, SCALES, st.booleans(), st.booleans())
def test_a_patch_is_a_crop_of_the_lr_and_of_the_hr_image(
    seed: int, iteration: int, scales, hflip: bool, rot90: bool
) -> None:
    """Law: turned back, the LR patch stands in Matlab's LR of the whole image where the HR patch stands in the HR."""
    recipe = _recipe(seed, hflip=hflip, rot90=rot90)
    batch = TrainingPatches(IMAGES, recipe, scales).batch(iteration)
    scale, images = batch.scale, list(IMAGES.values())
    drawn = draw(recipe, iteration, scales=scales, images=4)
    assert hflip or not drawn.mirror.any()
    assert rot90 or not (drawn.flip | drawn.transpose).any()
    for number in range(recipe.batch_size):
        whole = images[drawn.image[number]]
        lr = get_protocol("matlab-y").lr_image(whole, scale)
        side = 12 // scale
        row, column = (int(p * (n - side + 1)) for p, n in zip(drawn.position[number], lr.shape, strict=False))
        for patch, image, factor in ((batch.lr[number], lr, 1), (batch.hr[number], whole, scale)):
            pixels = (patch * 255).round().byte().permute(1, 2, 0).numpy()
            if drawn.transpose[number]:
                pixels = pixels.swapaxes(0, 1)
            if drawn.flip[number]:
                pixels = np.flipud(pixels)
            if drawn.mirror[number]:
                pixels = np.fliplr(pixels)
            top, left, size = row * factor, column * factor, side * factor
            assert np.array_equal(pixels, image[top : top + size, left : left + size])


@given(
    st.integers(0, 3),
    st.floats(0.4, 1.0),
    st.integers(1, 4),
    st.integers(3, 4),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
)
def test_a_scaled_pair_is_a_crop_of_the_whole_scaled_images(
    number: int, factor: float, scale: int, side: int, row: float, column: float
) -> None:
    """Law: computing only what a patch needs gives the pixels of resizing the whole image, borders included."""
    image = np.ascontiguousarray(np.tile(list(IMAGES.values())[number], (3, 2, 1)))
    hr = imresize(image, factor)
    lr = get_protocol("matlab-y").lr_image(hr, scale)
    lr_patch, hr_patch = scaled_pair(image, factor, scale, np.array([row, column]), side)
    top, left = (int(p * (n - side + 1)) for p, n in zip((row, column), lr.shape, strict=False))
    assert np.array_equal(lr_patch, lr[top : top + side, left : left + side])
    top, left, size = top * scale, left * scale, side * scale
    assert np.array_equal(hr_patch, hr[top : top + size, left : left + size])


@given(SEEDS, ITERATIONS, SCALES)
def test_scale_augmentation_of_factor_1_changes_no_pixel(seed: int, iteration: int, scales) -> None:
    """Law: reducing by 1 is the identity, so both ways of cutting patches give the same batch."""
    plain = TrainingPatches(IMAGES, _recipe(seed), scales).batch(iteration)
    scaled = TrainingPatches(IMAGES, _recipe(seed, scale_augmentation=(1, 1)), scales).batch(iteration)
    assert scaled.scale == plain.scale
    assert torch.equal(scaled.lr, plain.lr)
    assert torch.equal(scaled.hr, plain.hr)


def test_factors_cover_their_range_and_leave_the_other_draws_alone() -> None:
    """Law: factors are uniform in the range, and come after all other draws."""
    drawn = [draw(_recipe(7, scale_augmentation=(0.5, 0.9)), i, scales=(2, 3), images=4) for i in range(1, 201)]
    factors = np.concatenate([one.factor for one in drawn])
    assert 0.5 <= factors.min() < 0.51
    assert 0.89 < factors.max() <= 0.9
    assert abs(factors.mean() - 0.7) < 0.03  # seven standard deviations
    for iteration, one in enumerate(drawn, start=1):
        plain = draw(_recipe(7), iteration, scales=(2, 3), images=4)
        assert np.array_equal(one.position, plain.position)
        assert np.array_equal(one.transpose, plain.transpose)


def test_an_image_that_a_factor_would_make_too_small_keeps_room_for_a_patch() -> None:
    """Law: with scale augmentation the same images serve as without it."""
    recipe = _recipe(1, scale_augmentation=(0.1, 0.2))
    for iteration in range(1, 20):
        assert TrainingPatches(IMAGES, recipe, (2, 3)).batch(iteration).hr.shape == (4, 3, 12, 12)


def test_every_image_scale_orientation_and_border_is_reached() -> None:
    """Law: the draws are uniform, hence cover everything within 300 iterations (probability of a miss < 1e-15)."""
    recipe = _recipe(7)
    draws = [draw(recipe, iteration, scales=(2, 3, 4), images=4) for iteration in range(1, 301)]
    turns = {tuple(turn) for d in draws for turn in np.stack([d.image, d.mirror, d.flip, d.transpose], axis=1).tolist()}
    assert {d.scale for d in draws} == {2, 3, 4}
    assert len(turns) == 4 * 8
    rows = {int(row * 5) for d in draws for row in d.position[:, 0]}
    assert rows == {0, 1, 2, 3, 4}
    share = np.mean([d.scale == 2 for d in draws])
    assert 0.2 < share < 0.47  # 1/3, five standard deviations either way

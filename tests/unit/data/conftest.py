"""Images and folders of them, made for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srbench.images.files import write_png

Image = npt.NDArray[np.uint8]


@pytest.fixture
def make_image(seed: int) -> Callable[..., Image]:
    """Return a maker of images that differ from one another."""
    rng = np.random.default_rng(seed)

    def make(height: int = 24, width: int = 36) -> Image:
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def hr_folder(tmp_path: Path, make_image: Callable[..., Image]) -> Path:
    """Return a folder with `HR/a.png` and `HR/b.png`."""
    for name in ("a", "b"):
        write_png(make_image(), tmp_path / "set" / "HR" / f"{name}.png")
    return tmp_path / "set"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this test alone have a cache of its own."""
    root = tmp_path / "cache"
    monkeypatch.setenv("SRBENCH_CACHE", str(root))
    return root

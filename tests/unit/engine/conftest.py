"""A toy network and a folder of small images for training tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from srbench.registry.registries import BACKBONES


@pytest.fixture(scope="package")
def toy() -> Iterator[ModuleType]:
    """Return the module `toy.py`, whose network is registered as `engine_toy` for as long as it is used."""
    spec = importlib.util.spec_from_file_location("engine_toy_module", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    BACKBONES.remove("engine_toy")


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three smooth RGB images of different sizes."""
    folder = tmp_path_factory.mktemp("training-images")
    random = np.random.default_rng(5)
    for number, size in enumerate([(40, 36), (31, 47), (25, 25)]):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"image{number}.png")
    return folder

"""Records of test images found in training sets, stored beside results so that tables can mark affected rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srbench.errors import StoreError
from srbench.storage import write_atomic
from srbench.untrusted import parse_json, read_text
from srbench.validation import problems_in

__all__ = ["LEAKS_FILE", "LeakRecord", "LeakedImage", "read_leaks", "record_leaks"]

LEAKS_FILE = "leaks.json"

Box = tuple[int, int, int, int]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LeakedImage(_Schema):
    """A test image that is in a training set; `srbench.data.leaks.Leak` explains the fields."""

    test: str
    train: str
    kind: Literal["exact", "near", "crop", "near crop"]
    score: Annotated[float, Field(allow_inf_nan=False)]
    orientation: str = ""
    test_box: Box
    train_box: Box


class LeakRecord(_Schema):
    """The result of comparing a training set with a test set.

    Attributes:
        train: Name of the training set; `train_hash` is its content hash, as `Training.data_hash` of a record.
        test: Name of the test set; `test_hash` is its content hash, as `dataset_hash` of a record.
        train_images: Number of images in the training set.
        test_images: Number of images in the test set.
        leaks: The test images that were found in the training set.
        srbench: The version of sr-bench that compared them.
        date: ISO 8601, UTC.
    """

    train: str
    train_hash: str
    train_images: int = Field(ge=0)
    test: str
    test_hash: str
    test_images: int = Field(ge=0)
    leaks: list[LeakedImage]
    srbench: str
    date: str

    @property
    def images(self) -> int:
        """Return the number of test images that are in the training set, entirely or in part."""
        return len({leak.test for leak in self.leaks})


class _File(_Schema):
    schema_version: Literal[1] = 1
    pairs: list[LeakRecord] = []


def read_leaks(results_dir: str | Path) -> dict[tuple[str, str], LeakRecord]:
    """Return the leak records of a results folder, keyed by the content hashes of training and test set.

    Raises:
        StoreError: Its `leaks.json` cannot be read.
    """
    path = Path(results_dir) / LEAKS_FILE
    if not path.exists():
        return {}
    try:
        content = _File.model_validate(parse_json(read_text(path, what="record of leaks", error=StoreError)))
    except ValidationError as error:
        raise _damaged(path, problems_in(error)[0].sentence()) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return {(pair.train_hash, pair.test_hash): pair for pair in content.pairs}


def record_leaks(results_dir: str | Path, record: LeakRecord) -> Path:
    """Add the result of a comparison to a results folder, replacing an earlier one of the same images.

    Raises:
        StoreError: The folder does not exist or cannot be written to, or its `leaks.json` cannot be read.
    """
    folder = Path(results_dir)
    if not folder.is_dir():
        raise StoreError(f"'{folder}' is not a folder; give a run's, or the results of a committed leaderboard")
    pairs = {**read_leaks(folder), (record.train_hash, record.test_hash): record}
    content = _File(pairs=sorted(pairs.values(), key=lambda pair: (pair.train, pair.test, pair.train_hash)))
    path = folder / LEAKS_FILE
    write_atomic(path, (json.dumps(content.model_dump(), indent=2, sort_keys=True, allow_nan=False) + "\n").encode())
    return path


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"'{path}' is not a record of leaks that this version reads ({reason}); remove it and run `srbench data leaks "
        "TRAIN TEST --record` again"
    )

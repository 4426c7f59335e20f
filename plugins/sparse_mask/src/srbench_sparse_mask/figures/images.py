"""Images that figures show, found by name, and what a figure says of image and weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srbench.plugin import Dataset

__all__ = ["about_weights", "credit", "find_images", "joined"]

# Looked through for an image where no data set is named; the first are free of rights.
_SETS = ("embedded-test", "Set5", "Set14", "BSD100", "Urban100")


def find_images(names: str | None, data: str | None) -> list[tuple[Dataset, str]]:
    """Return images by name, each with its data set.

    Args:
        names: Names separated by commas; None for the first image.
        data: A data set or folder; None for the first of the usual sets that has the image.

    Raises:
        UnknownNameError: There is no such image or data set.
    """
    from srbench.plugin import UnknownNameError, open_dataset, suggest

    if data is not None or names is None:
        dataset = open_dataset(data or _SETS[0])
        wanted = [name.strip() for name in names.split(",")] if names is not None else dataset.image_names()[:1]
        known = dataset.image_names()
        for name in wanted:
            if name not in known:
                raise UnknownNameError(
                    f"no image '{name}' in data set '{dataset.name}'" + suggest(name, known, noun="images")
                )
        return [(dataset, name) for name in wanted]
    sets = [open_dataset(name) for name in _SETS]
    found = []
    for name in (part.strip() for part in names.split(",")):
        holder = next((dataset for dataset in sets if name in dataset.image_names()), None)
        if holder is None:
            known = [image for dataset in sets for image in dataset.image_names()]
            raise UnknownNameError(
                f"no image '{name}' in {', '.join(_SETS)}; name a folder with --data" + suggest(name, known)
            )
        found.append((holder, name))
    return found


def credit(dataset: Dataset, name: str) -> str:
    """Return an image's name with author and licence, where they are known."""
    terms = dataset.licence(name)
    return f"{name} ({terms.author}, {terms.licence})" if terms is not None else f"{name} ({dataset.name})"


def about_weights(model: str, weights: Path | None) -> str:
    """Say where a network's weights come from: a tag, a file, or one of our trainings, described beside the file."""
    from srbench.plugin import DataError, parse_json, read_text

    if weights is None:
        tag = model.rpartition(".")[2]
        return "the authors' weights" if tag == "author" else f"weights: {tag}"
    try:
        training = parse_json(read_text(weights.parent / "training.json"))["result"]
        iterations, data = int(training["iterations"]), str(training["data"])
        start = ", started from other weights" if training.get("starting_weights_sha256") else ""
    except (DataError, ValueError, KeyError, TypeError):
        return f"weights: {weights.name}"
    return f"own small training: {iterations:,} iterations on {data}{start}"


def joined(parts: Sequence[str]) -> str:
    """Join what a figure's second line says, leaving out what is empty."""
    return "; ".join(part for part in parts if part)

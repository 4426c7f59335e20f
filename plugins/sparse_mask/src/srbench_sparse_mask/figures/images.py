"""Find images for figures by name, and describe images and weights in captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srbench.plugin import Dataset

__all__ = ["about_weights", "credit", "find_images", "joined"]

# Searched in this order if no data set is given; the first one is freely licensed.
_SETS = ("embedded-test", "Set5", "Set14", "BSD100", "Urban100")


def find_images(names: str | None, data: str | None) -> list[tuple[Dataset, str]]:
    """Find images by name, each with its data set.

    Args:
        names: Names separated by commas; None for the first image.
        data: A data set or folder; None for the first standard set that has the image.

    Raises:
        UnknownNameError: The image or data set does not exist.
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
    """Return an image's name with its author and licence, or its data set if they are unknown."""
    terms = dataset.licence(name)
    return f"{name} ({terms.author}, {terms.licence})" if terms is not None else f"{name} ({dataset.name})"


def about_weights(model: str, weights: Path | None) -> str:
    """Describe the source of a network's weights: a tag, a file, or a training described next to the file."""
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
    """Join the parts of a figure's second line, skipping empty ones."""
    return "; ".join(part for part in parts if part)

"""Where a result comes from: code, weights, plan, and the part of a data set that was measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from srbench.results.schema import Stored

__all__ = ["Checkout", "PlanReference", "Planned", "PlannedData", "Subset", "WeightsOrigin"]


class Checkout(Stored):
    """Name the state of the git checkout that sr-bench ran from.

    Attributes:
        commit: The commit, 40 (or 64) hexadecimal digits.
        dirty: Whether Python files differed from it, or there were any that it does not have.
    """

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
    dirty: bool


class WeightsOrigin(Stored):
    """Say where published weights come from.

    Attributes:
        url: Where the file can be downloaded.
        licence: The licence that the repository states, or "none stated".
        paper: The paper that describes the model.
        third_party: Who trained them, where it was not the authors of the paper; else empty.
    """

    url: str = ""
    licence: str = ""
    paper: str = ""
    third_party: str = ""


class PlannedData(Stored):
    """Name a data set of a plan.

    Attributes:
        name: As records have it.
        sha256: The hash of its images.
    """

    name: str
    sha256: str


class Planned(Stored):
    """Say which cells a suite asks for: every model at its scales, on every data set, under every protocol.

    Attributes:
        models: Canonical name -> scales.
        datasets: The data sets.
        protocols: The protocols, as records have them.
    """

    models: dict[str, list[int]]
    datasets: list[PlannedData]
    protocols: list[str]


class PlanReference(Stored):
    """Name the plan that a result was measured for.

    Attributes:
        suite: Name of the suite.
        budget: The budget of the suite; empty for the whole one.
        definition_sha256: Hash of the suite's definition as canonical JSON, as `run.json` holds it.
    """

    suite: str
    budget: str = ""
    definition_sha256: str


class Subset(Stored):
    """Say which part of a data set was measured.

    Attributes:
        of: Name of the data set.
        of_images: How many images that has.
        pattern: How they were chosen: names and globs, separated by commas.
        images: Their names.
        sha256: Hash of their names and pixel hashes.
    """

    of: str
    of_images: Annotated[int, Field(ge=1, le=10**9)]
    pattern: str
    images: tuple[str, ...]
    sha256: str

"""The origin of a result: code, weights, plan, and the measured part of a data set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from srbench.results.schema import Stored

__all__ = ["Checkout", "PlanReference", "Planned", "PlannedData", "Subset", "WeightsOrigin"]


class Checkout(Stored):
    """The state of the git checkout that sr-bench ran from.

    Attributes:
        commit: The commit, 40 (or 64) hexadecimal digits.
        dirty: Whether Python files had been modified or added since that commit.
    """

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
    dirty: bool


class WeightsOrigin(Stored):
    """The origin of published weights.

    Attributes:
        url: Where the file can be downloaded.
        licence: The licence that the repository states, or "none stated".
        paper: The paper that describes the model.
        third_party: Who trained them if it was not the authors of the paper; else empty.
    """

    url: str = ""
    licence: str = ""
    paper: str = ""
    third_party: str = ""


class PlannedData(Stored):
    """A data set of a plan.

    Attributes:
        name: Its name in records.
        sha256: Hash of its images.
    """

    name: str
    sha256: str


class Planned(Stored):
    """The cells of a suite: every model at its scales, on every data set, under every protocol.

    Attributes:
        models: Canonical name -> scales.
        datasets: The data sets.
        protocols: The names of the protocols in records.
        added: Models that were added to the suite's own (`srbench run --add`), in this or an earlier run of the folder.
    """

    models: dict[str, list[int]]
    datasets: list[PlannedData]
    protocols: list[str]
    added: list[str] = Field([])


class PlanReference(Stored):
    """The plan that a result was measured for.

    Attributes:
        suite: Name of the suite.
        budget: The budget of the suite; empty for the full suite.
        definition_sha256: Hash of the suite's definition in `run.json`, as canonical JSON.
    """

    suite: str
    budget: str = ""
    definition_sha256: str


class Subset(Stored):
    """The measured part of a data set.

    Attributes:
        of: Name of the data set.
        of_images: Number of images in the whole data set.
        pattern: Which images were chosen: names and globs, separated by commas.
        images: Names of the chosen images.
        sha256: Hash of their names and pixel hashes.
    """

    of: str
    of_images: Annotated[int, Field(ge=1, le=10**9)]
    pattern: str
    images: tuple[str, ...]
    sha256: str

"""Compare stored results with new measurements: what must be equal, and the tolerance for what may differ."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.results.records import Adoption, Record, now
from srbench.runs.fingerprint import UNKEYED_NUMERICS
from srbench.training.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from srbench.results.store import Cell
    from srbench.runs.job import Finished
    from srbench.runs.plan import CellPlan, ModelPlan

__all__ = [
    "ROUNDING",
    "TOLERANCE_DB",
    "TOLERANCE_OTHER",
    "Disagreement",
    "ValueDifference",
    "agreement",
    "check_plan",
    "compared",
    "counted_differences",
    "same_platform",
    "wrong_means",
]

# Largest difference of one image's value between platforms or versions: in dB; in other units absolute, or relative to
# values above 1.
TOLERANCE_DB = 1e-4
TOLERANCE_OTHER = 1e-6
# The same on one platform, in all units, relative to values above 1: the order of sums may differ between versions of
# the code. New values then replace the stored ones.
ROUNDING = 1e-12

# Fields of a record that must match the plan.
_PLANNED = ("dataset_hash", "protocol_digest", "scales", "dtype", "numerics")
# Fields that are counted again with each measurement; filled in if the old record lacks them.
_COUNTED = (
    "params_unique", "params_deployed", "params_stored", "images", "metric_kinds", "redistributable", "licence", "cost",
    "folded",
)  # fmt: skip
# Descriptive fields, taken from the run that adopts the result. The checkout is kept.
_DESCRIBED = ("weights", "plan", "subset", "dataset_source", "primary_metric")


class Disagreement(Exception):  # noqa: N818 - an outcome, shown to the user as a refusal
    """A stored result does not agree; the message is a sentence."""


@dataclass(frozen=True)
class ValueDifference:
    """A changed value of one image.

    Attributes:
        metric: The metric.
        image: The image's name.
        stored: The stored value.
        measured: The new value.
        tolerance: Largest allowed difference.
    """

    metric: str
    image: str
    stored: float
    measured: float
    tolerance: float

    @property
    def size(self) -> float:
        """The absolute difference; NaN if one of the values is."""
        return abs(self.stored - self.measured)

    @property
    def allowed(self) -> bool:
        """Whether the difference is within the tolerance; False if a value is NaN."""
        return self.size <= self.tolerance

    def __str__(self) -> str:
        return (
            f"{self.metric} of '{self.image}' is {self.stored!r}, but now measured as {self.measured!r}: more than "
            f"{self.tolerance:.0e} apart"
        )


def check_plan(record: Record, model: ModelPlan, cell: CellPlan) -> None:
    """Check a record against the plan of the suite.

    Raises:
        Disagreement: It is not a result of the plan.
    """
    planned: dict[str, Any] = {
        "dataset_hash": cell.data.content_hash,
        "protocol_digest": cell.protocol_digest,
        "scales": list(model.scales),
        "dtype": cell.inference.record_dtype,
        "numerics": {"tf32": False, **cell.inference.chosen},
    }
    for name in _PLANNED:
        stored_value = getattr(record, name)
        if name == "numerics":
            stored_value = {key: value for key, value in stored_value.items() if key not in UNKEYED_NUMERICS}
        if stored_value != planned[name]:
            raise Disagreement(f"its {name} is {_short(stored_value)}, but the suite's is {_short(planned[name])}")
    if set(record.metrics) != set(cell.metrics):
        raise Disagreement(
            f"it has the metrics {', '.join(sorted(record.metrics))}, but the suite {', '.join(sorted(cell.metrics))}"
        )
    if model.training is None:
        if record.weights_sha256 != model.weights_sha256:
            raise Disagreement(
                f"its weights are {_short(record.weights_sha256)}, not {_short(model.weights_sha256)} of the model"
            )
        return
    stored, training = record.training, model.training
    if stored is None:
        raise Disagreement("it does not describe its training")
    if stored.seeds != [training.seed] or stored.recipe.get("seed") != training.seed:
        raise Disagreement(
            f"it was trained with seed {stored.recipe.get('seed')}, but the suite has seed {training.seed}"
        )
    try:
        same = Recipe.model_validate(stored.recipe).digest == training.recipe.digest
    except ValidationError:
        same = False
    if not same or stored.iterations != training.iterations:
        raise Disagreement("it was trained with another recipe than the suite's")
    if stored.data_hash != training.data.content_hash:
        raise Disagreement(f"it was trained on other images than '{training.data.name}' contains now")


def agreement(old: Cell, new: Finished, training: str) -> Record:
    """Return the stored record under the key of the new measurement, if the two agree.

    With the same platform, versions and number of threads, every image's value must be equal up to `ROUNDING`, and the
    record gets the new values. Otherwise it may differ by `TOLERANCE_DB` in dB or by `TOLERANCE_OTHER`, and the record
    keeps the stored values.

    Args:
        old: The stored result.
        new: The new measurement.
        training: How the training was checked: `replayed`, `repeated`, or empty.

    Raises:
        Disagreement: They do not agree.
    """
    before, after = old.record, new.record
    if after.status != "ok":
        raise Disagreement(f"it could not be measured again: {(after.error or '').strip().splitlines()[-1]}")
    if before.weights_sha256 != after.weights_sha256:
        how = "after repeating the training" if training == "repeated" else "now"
        raise Disagreement(f"its weights are {_short(before.weights_sha256)}, but {how} {_short(after.weights_sha256)}")
    exact = same_platform(old, new)
    assert new.per_image is not None  # a cell that was measured has its values
    largest = dict.fromkeys(sorted(before.metrics), 0.0)
    for difference in compared(before, old.per_image, new.per_image, exact):
        if not difference.allowed:
            raise Disagreement(str(difference))
        largest[difference.metric] = max(largest[difference.metric], difference.size)
    for wrong in (*wrong_means(before, old.per_image, exact), *counted_differences(before, after, exact)):
        raise Disagreement(wrong)
    filled = {
        name: getattr(after, name) for name in _COUNTED if getattr(before, name) is None or getattr(before, name) == {}
    }
    if before.training is not None and after.training is not None:
        trace = before.training.trace
        if trace is not None and trace != after.training.trace:
            raise Disagreement("the trace of its training differs from the one in models/")
        filled["training"] = before.training.model_copy(
            update={"code_digest": after.training.code_digest, "trace": after.training.trace}
        )
    differs = any(largest.values())
    if exact and differs:
        filled["metrics"] = after.metrics
    adopted = Adoption(
        from_code=before.code_digest,
        from_key=before.key,
        srbench=before.versions.get("srbench", ""),
        training=training,
        evaluation="identical" if not differs else "but for rounding" if exact else "within tolerance",
        largest_difference={name: value for name, value in largest.items() if value},
        platform=f"{platform.platform()}, {(new.speed or {}).get('hardware', {}).get('device', '')}",
        date=now(),
    )
    return before.model_copy(
        update={
            **filled,
            "schema_version": after.schema_version,
            "key": after.key,
            "code_digest": after.code_digest,
            "plugins": after.plugins,
            "checks": after.checks,
            "adopted": adopted,
            **{name: getattr(after, name) for name in _DESCRIBED},
        }
    )


def same_platform(old: Cell, new: Finished) -> bool:
    """Return whether two results were measured with the same platform, versions and number of threads."""
    before, after = old.speed or {}, new.speed or {}
    versions = ("torch", "numpy")
    return before.get("hardware", {}) == after.get("hardware", None) and all(
        old.record.versions.get(name) == new.record.versions.get(name) for name in versions
    )


def compared(record: Record, before: pd.DataFrame, after: pd.DataFrame, exact: bool) -> list[ValueDifference]:
    """Return all per-image values that are not bitwise equal, metric by metric.

    Args:
        record: The record of the stored values.
        before: The stored values: `image`, and a column for each metric.
        after: The new values.
        exact: Whether both were measured on one platform (`same_platform`).

    Raises:
        Disagreement: The tables have different images, or a metric has no values.
    """
    if list(before["image"]) != list(after["image"]):
        raise Disagreement("its images are not those of the data set")
    found = []
    for name in sorted(record.metrics):
        if name not in before:
            raise Disagreement(f"it has no values of {name} for each image")
        unit = record.metric_kinds[name].unit if name in record.metric_kinds else ("dB" if "psnr" in name else "")
        for image, stored, measured in zip(before["image"], before[name], after[name], strict=True):
            if stored == measured:
                continue
            size = max(1.0, abs(float(measured)))
            elsewhere = TOLERANCE_DB if unit == "dB" else TOLERANCE_OTHER * size
            allowed = ROUNDING * size if exact else elsewhere
            found.append(ValueDifference(name, str(image), float(stored), float(measured), allowed))
    return found


def wrong_means(record: Record, per_image: pd.DataFrame, exact: bool) -> list[str]:
    """Return a sentence for each metric whose stored mean does not match the stored values.

    Args:
        record: The stored record.
        per_image: Its values: `image`, and a column for each metric.
        exact: Whether to compare bitwise; other platforms may sum in a different order.
    """
    said = []
    for name in sorted(record.metrics):
        if name not in per_image:
            said.append(f"it has no values of {name} for each image")
            continue
        stored, mean = record.metrics[name], float(per_image[name].mean())
        if stored != mean and not math.isclose(stored, mean, rel_tol=0 if exact else 1e-12):
            said.append(f"its mean of {name} is {stored!r}, but the mean of its images' values is {mean!r}")
    return said


def counted_differences(before: Record, after: Record, exact: bool) -> list[str]:
    """Return a sentence for each other figure, such as parameters and cost, that has changed.

    Args:
        before: The stored record; fields that it lacks are not compared.
        after: The record of the new measurement.
        exact: Whether both were measured on one platform; on another, masks may skip different parts.
    """
    said = []
    for name in _COUNTED:
        stored, counted = getattr(before, name), getattr(after, name)
        if stored is None or stored == {}:
            continue
        if _comparable(name, stored, exact) != _comparable(name, counted, exact):
            said.append(f"its {name} is {_short(stored)}, but now {_short(counted)}")
    return said


def _comparable(name: str, value: Any, exact: bool) -> Any:
    """Return the comparable part of a counted field: on another platform, masks may skip different parts."""
    if name == "cost" and not exact:
        return value.model_copy(update={"macs_executed": None})
    return value


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text

"""Whether a stored result is what is measured now: what must be equal, and what may differ by how much."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.results.records import Adoption, Record, now
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

# Largest difference of one image's value between platforms or versions: in dB, and in other units as a share of the
# value where that exceeds 1.
TOLERANCE_DB = 1e-4
TOLERANCE_OTHER = 1e-6
# The same on one platform, in all units as a share of the value where that exceeds 1: code may add up in another order.
# What is measured now then takes the place of the stored values.
ROUNDING = 1e-12

# What the plan says of a cell and the record must say too.
_PLANNED = ("dataset_hash", "protocol_digest", "scales", "dtype", "numerics")
# What a record says beside the values and is found anew by measuring; filled in where the old record says nothing.
_COUNTED = (
    "params_unique", "params_deployed", "params_stored", "images", "metric_kinds", "redistributable", "licence", "cost",
)  # fmt: skip
# What describes a result and says nothing of its value: as the run that adopts it has it. Its checkout stays its own.
_DESCRIBED = ("weights", "plan", "subset", "dataset_source", "primary_metric")


class Disagreement(Exception):  # noqa: N818 - an outcome, shown to the user as a refusal
    """A stored result is not what it should be; the text is a sentence."""


@dataclass(frozen=True)
class ValueDifference:
    """One image's value that is not what it was.

    Attributes:
        metric: The metric.
        image: The image's name.
        stored: What was measured before.
        measured: What is measured now.
        tolerance: How far the two may be apart.
    """

    metric: str
    image: str
    stored: float
    measured: float
    tolerance: float

    @property
    def size(self) -> float:
        """Return the distance of the two; NaN where one of them is."""
        return abs(self.stored - self.measured)

    @property
    def allowed(self) -> bool:
        """Say whether the two are as near as they must be; no where one is NaN."""
        return self.size <= self.tolerance

    def __str__(self) -> str:
        return (
            f"{self.metric} of '{self.image}' is {self.stored!r}, and measured now {self.measured!r}: more than "
            f"{self.tolerance:.0e} apart"
        )


def check_plan(record: Record, model: ModelPlan, cell: CellPlan) -> None:
    """Check what a record says of itself against what the suite asks for.

    Raises:
        Disagreement: It is a result of something else.
    """
    planned: dict[str, Any] = {
        "dataset_hash": cell.data.content_hash,
        "protocol_digest": cell.protocol_digest,
        "scales": list(model.scales),
        "dtype": cell.inference.record_dtype,
        "numerics": {"tf32": False, **cell.inference.chosen},
    }
    for name in _PLANNED:
        if getattr(record, name) != planned[name]:
            raise Disagreement(
                f"its {name} is {_short(getattr(record, name))}, and the suite's {_short(planned[name])}"
            )
    if set(record.metrics) != set(cell.metrics):
        raise Disagreement(
            f"it has the metrics {', '.join(sorted(record.metrics))}, and the suite {', '.join(sorted(cell.metrics))}"
        )
    if model.training is None:
        if record.weights_sha256 != model.weights_sha256:
            raise Disagreement(
                f"its weights are {_short(record.weights_sha256)}, and the model's {_short(model.weights_sha256)}"
            )
        return
    stored, training = record.training, model.training
    if stored is None:
        raise Disagreement("it does not say how it was trained")
    if stored.seeds != [training.seed] or stored.recipe.get("seed") != training.seed:
        raise Disagreement(
            f"it was trained with seed {stored.recipe.get('seed')}, and the suite asks for {training.seed}"
        )
    try:
        same = Recipe.model_validate(stored.recipe).digest == training.recipe.digest
    except ValidationError:
        same = False
    if not same or stored.iterations != training.iterations:
        raise Disagreement("it was trained by another recipe than the suite's")
    if stored.data_hash != training.data.content_hash:
        raise Disagreement(f"it was trained on other images than '{training.data.name}' holds now")


def agreement(old: Cell, new: Finished, training: str) -> Record:
    """Return the stored record under the key of what was measured now, if the two agree.

    On the same platform, versions and number of threads, every image's value must be the same but for `ROUNDING`, and
    the record gets the values that were measured now, to the last bit. Elsewhere it may differ by `TOLERANCE_DB` in dB,
    or `TOLERANCE_OTHER`, and the record keeps its own.

    Args:
        old: The stored result.
        new: What was measured now.
        training: How the training was checked: `replayed`, `repeated`, or empty.

    Raises:
        Disagreement: They do not agree.
    """
    before, after = old.record, new.record
    if after.status != "ok":
        raise Disagreement(f"it could not be measured again: {(after.error or '').strip().splitlines()[-1]}")
    if before.weights_sha256 != after.weights_sha256:
        how = " the repeated training gives" if training == "repeated" else ""
        raise Disagreement(
            f"its weights are {_short(before.weights_sha256)}, and{how} now {_short(after.weights_sha256)}"
        )
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
            raise Disagreement("the trace of its training is not the one that the training keeps")
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
    """Say whether the two were measured by the same kind of machine, versions and number of threads."""
    before, after = old.speed or {}, new.speed or {}
    versions = ("torch", "numpy")
    return before.get("hardware", {}) == after.get("hardware", None) and all(
        old.record.versions.get(name) == new.record.versions.get(name) for name in versions
    )


def compared(record: Record, before: pd.DataFrame, after: pd.DataFrame, exact: bool) -> list[ValueDifference]:
    """Return every image's value that is not the same to the last bit, metric by metric.

    Args:
        record: What the stored values are values of.
        before: The stored values: `image`, and a column for each metric.
        after: Those that are measured now.
        exact: Whether both were measured on one platform (`same_platform`).

    Raises:
        Disagreement: The two are not of the same images, or a metric has no values.
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
    """Return a sentence for each metric whose stored mean is not the mean of the stored values.

    Args:
        record: What is stored of the cell.
        per_image: Its values: `image`, and a column for each metric.
        exact: Compare to the last bit: platforms may add up in another order.
    """
    said = []
    for name in sorted(record.metrics):
        if name not in per_image:
            said.append(f"it has no values of {name} for each image")
            continue
        stored, mean = record.metrics[name], float(per_image[name].mean())
        if stored != mean and not math.isclose(stored, mean, rel_tol=0 if exact else 1e-12):
            said.append(f"its mean of {name} is {stored!r}, and its images' values have the mean {mean!r}")
    return said


def counted_differences(before: Record, after: Record, exact: bool) -> list[str]:
    """Return a sentence for each figure beside the values, such as parameters and cost, that is another now.

    Args:
        before: The stored record; what it does not say is not compared.
        after: The record of what was measured now.
        exact: Whether both were measured on one platform: what masks skip may differ elsewhere.
    """
    said = []
    for name in _COUNTED:
        stored, counted = getattr(before, name), getattr(after, name)
        if stored is None or stored == {}:
            continue
        if _comparable(name, stored, exact) != _comparable(name, counted, exact):
            said.append(f"its {name} is {_short(stored)}, and now {_short(counted)}")
    return said


def _comparable(name: str, value: Any, exact: bool) -> Any:
    """Return what is compared of a counted field: masks may fall otherwise on another platform."""
    if name == "cost" and not exact:
        return value.model_copy(update={"macs_executed": None})
    return value


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text

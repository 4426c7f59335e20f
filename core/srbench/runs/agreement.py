"""Whether a stored result is what is measured now: what must be equal, and what may differ by how much."""

from __future__ import annotations

import math
import platform
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.results.records import Adoption, Record, now
from srbench.training.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from srbench.results.store import Cell
    from srbench.runs.job import Finished
    from srbench.runs.plan import CellPlan, ModelPlan

__all__ = ["ROUNDING", "TOLERANCE_DB", "TOLERANCE_OTHER", "Disagreement", "agreement", "check_plan"]

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
    exact = _same_platform(old, new)
    assert new.per_image is not None  # a cell that was measured has its values
    largest = _compare_values(before, old.per_image, new.per_image, exact)
    for name in sorted(before.metrics):
        stored, mean = before.metrics[name], float(old.per_image[name].mean())
        if stored != mean and not math.isclose(stored, mean, rel_tol=0 if exact else 1e-12):
            raise Disagreement(f"its mean of {name} is {stored!r}, and its images' values have the mean {mean!r}")
    filled = {}
    for name in _COUNTED:
        stored, counted = getattr(before, name), getattr(after, name)
        if stored is None or stored == {}:
            filled[name] = counted
        elif _comparable(name, stored, exact) != _comparable(name, counted, exact):
            raise Disagreement(f"its {name} is {_short(stored)}, and now {_short(counted)}")
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


def _same_platform(old: Cell, new: Finished) -> bool:
    """Say whether the two were measured by the same kind of machine, versions and number of threads."""
    before, after = old.speed or {}, new.speed or {}
    versions = ("torch", "numpy")
    return before.get("hardware", {}) == after.get("hardware", None) and all(
        old.record.versions.get(name) == new.record.versions.get(name) for name in versions
    )


def _compare_values(record: Record, before: pd.DataFrame, after: pd.DataFrame, exact: bool) -> dict[str, float]:
    """Return each metric's largest difference of one image."""
    if list(before["image"]) != list(after["image"]):
        raise Disagreement("its images are not those of the data set")
    largest = {}
    for name in sorted(record.metrics):
        if name not in before:
            raise Disagreement(f"it has no values of {name} for each image")
        largest[name] = 0.0
        unit = record.metric_kinds[name].unit if name in record.metric_kinds else ("dB" if "psnr" in name else "")
        for image, stored, measured in zip(before["image"], before[name], after[name], strict=True):
            if stored == measured:
                continue
            difference = abs(float(stored) - float(measured))
            size = max(1.0, abs(float(measured)))
            elsewhere = TOLERANCE_DB if unit == "dB" else TOLERANCE_OTHER * size
            allowed = ROUNDING * size if exact else elsewhere
            if not difference <= allowed:
                raise Disagreement(
                    f"{name} of '{image}' is {float(stored)!r}, and measured now {float(measured)!r}: more than "
                    f"{allowed:.0e} apart"
                )
            largest[name] = max(largest[name], difference)
    return largest


def _comparable(name: str, value: Any, exact: bool) -> Any:
    """Return what is compared of a counted field: masks may fall otherwise on another platform."""
    if name == "cost" and not exact:
        return value.model_copy(update={"macs_executed": None})
    return value


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text

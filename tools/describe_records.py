"""Update the descriptive fields of a run's records: address and licence of weights, plan, primary metric.

    python tools/describe_records.py SUITE RUN_DIR [--budget NAME] [--train-data NAME] [--datasets A,B]

Only current cells of the suite are changed; their values, code digests, dates and keys remain the same. The plan comes
from the suite, or its part that `--datasets` names, and becomes the run's: what it has no cell for is shown as not
measured. The run must not be packed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from srbench.errors import SRBenchError, StoreError
from srbench.models.factory import create_model
from srbench.models.surgery import deployed
from srbench.registry import canonical_name
from srbench.results.records import SCHEMA_VERSION, Record
from srbench.results.store import RunStore
from srbench.runs.plan import CellPlan, ModelPlan, Plan
from srbench.runs.planner import make_plan
from srbench.runs.recording import cost_figures
from srbench.suite.definition import load_suite


def described(record: Record, model: ModelPlan, cell: CellPlan) -> Record:
    """Return a record with the descriptive fields of its plan.

    Raises:
        StoreError: The weights differ from those of the tag.
    """
    if model.origin is not None and model.weights_sha256 not in (None, record.weights_sha256):
        raise StoreError(f"'{record.directory_name}' was measured with weights {record.weights_sha256}, not the tag's")
    primary = cell.protocol.primary_metric
    fields = {
        "schema_version": SCHEMA_VERSION,
        "primary_metric": primary if primary in record.metrics else "",
        "weights": model.origin,
        "plan": model.plan,
        "subset": cell.data.subset,
        "dataset_source": cell.data.path_hash,
    }
    return record.model_copy(update=fields)


def counted(record: Record) -> Record:
    """Return a record with its cost if this could not be counted before."""
    if record.cost is None or not record.cost.not_counted:
        return record
    network = create_model(canonical_name(record.model), scales=record.scales, pretrained=False, seed=0).eval()
    return record.model_copy(update={"cost": cost_figures(deployed(network, record.scale))})


def asked(plan: Plan, store: RunStore) -> dict[str, Any]:
    """Return the suite's definition without models that have no result, such as those whose weights are missing.

    They remain in the plan, so pages show them as not measured.
    """
    definition = plan.suite.definition()
    measured = {
        str(model.name)
        for model in plan.models
        if any(store.find(cell.directory, cell.key) is not None for cell in model.cells)
    }
    models = [entry for entry in definition["models"] if str(canonical_name(entry["model"])) in measured]
    return definition | {"models": models}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("suite")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--budget")
    parser.add_argument("--train-data")
    parser.add_argument("--datasets", type=lambda text: text.split(","))
    options = parser.parse_args()
    suite = load_suite(options.suite)
    suite = suite.at_budget(options.budget) if options.budget else suite
    suite = suite.trained_on(options.train_data) if options.train_data else suite
    store, written, missing = RunStore(options.run_dir), 0, 0
    store.check_writable()
    plan = make_plan(suite, datasets=options.datasets)
    with store.lock():
        if (info := store.info()) is not None:
            store.begin(info.model_copy(update={"planned": plan.described, "definition": asked(plan, store)}))
        for model in plan.models:
            for cell in model.cells:
                found = store.find(cell.directory, cell.key)
                if found is None:
                    missing += 1
                    continue
                record = counted(described(found.record, model, cell))
                if record != found.record:
                    store.adopt(found, record)
                    written += 1
    print(f"{written} records updated, {missing} cells of the suite are missing")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRBenchError as error:
        sys.exit(f"describe_records: {error}")

"""JSON Schemas of the stored files: a cell's record, and a run's description."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from srbench.results.records import RUN_SCHEMA_VERSION, SCHEMA_VERSION, Record, RunInfo

__all__ = ["schema_of", "schema_text"]

_KNOWN: dict[str, tuple[type[BaseModel], int]] = {
    "record": (Record, SCHEMA_VERSION),
    "run": (RunInfo, RUN_SCHEMA_VERSION),
}


def schema_of(what: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `record` or `run`; it covers all versions up to the current one."""
    model, version = _KNOWN[what]
    described = model.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **described,
        "title": f"{described['title']}, schema version {version}",
    }


def schema_text(what: str) -> str:
    """Return the schema of `record` or `run` as indented JSON with sorted keys."""
    return json.dumps(schema_of(what), indent=2, sort_keys=True) + "\n"

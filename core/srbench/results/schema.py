"""Base of all stored models: validation, and serialization as JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema

__all__ = ["Figure", "Stored"]

# JSON has no infinity, but the PSNR of equal images is infinite: it is stored as a string.
Figure = Annotated[
    float,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity", "NaN"]}]}),
]


class Stored(BaseModel):
    """Base of stored models: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """Return the object as indented JSON with sorted keys and a final newline."""
        return formatted(json.loads(self.model_dump_json()))


def formatted(value: Any) -> str:
    """Format a JSON value as records are written: indented, with sorted keys and a final newline."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"

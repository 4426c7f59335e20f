"""What all stored descriptions have in common: how they are checked, and how they are written as JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema

__all__ = ["Figure", "Stored"]

# JSON has no infinity, and the PSNR of equal images is infinite: it is written as a text, and read back.
Figure = Annotated[
    float,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity", "NaN"]}]}),
]


class Stored(BaseModel):
    """Refuse unknown fields and changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """Return the object as indented JSON with sorted keys, ending with a line break."""
        return formatted(json.loads(self.model_dump_json()))


def formatted(value: Any) -> str:
    """Return a JSON value as records are written: indented, keys sorted, ending with a line break."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"

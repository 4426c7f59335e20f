"""Equal parts of many records, kept in memory once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from typing import Any

from srbench.results.records import Record

__all__ = ["SharedParts"]

# Of these each cell has its own.
_OWN = frozenset({"key", "error"})


class SharedParts:
    """The texts and nested values of records that were read so far.

    The cells of a board differ in key, figures and little else: 100,000 of them take a third of the memory if they
    share what is equal. Records are immutable, so sharing cannot be noticed.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def share(self, record: Record, source: Mapping[str, Any]) -> Record:
        """Replace the parts of a record that an earlier one has too, and return it.

        Args:
            record: The record.
            source: The JSON object that it was read from.
        """
        values, known = record.__dict__, self._known
        for name, value in values.items():
            if name in _OWN:
                continue
            if isinstance(value, str):
                values[name] = known.setdefault(value, value)
            elif value is not None and not isinstance(value, int | float) and name != "metrics":
                # What was not in the source has its default, as in all other records without it.
                said = hashlib.sha256(repr(source.get(name)).encode(errors="surrogatepass")).digest()
                values[name] = known.setdefault((name, said), value)
        fields = record.__pydantic_fields_set__
        object.__setattr__(record, "__pydantic_fields_set__", known.setdefault(frozenset(fields), fields))
        return record

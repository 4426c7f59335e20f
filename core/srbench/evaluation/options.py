"""Inference options: how a network is run when it is measured. Importing this module needs no torch."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, model_validator

from srbench.errors import ConfigError
from srbench.validation import problems_in

__all__ = ["ALIGNMENT", "DEFAULT", "DTYPES", "TILE_ROUNDING", "InferenceOptions", "TilingWarning", "options_from"]

# Tiles begin at multiples of this many LR pixels, so that networks that downsample features by 2, up to three times,
# use the same grid for each tile as for the whole image.
ALIGNMENT = 8

# Largest error of tiles whose overlap covers the network's receptive field, as a fraction of the range: rounding.
TILE_ROUNDING = 1e-5

# The name in options -> the name in records.
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class TilingWarning(UserWarning):
    """Tiles overlap by less than a network's receptive field, or the receptive field is unknown."""


class InferenceOptions(BaseModel):
    """Options of running a network; the default is whole images in float32.

    Options that differ from the default are part of a result's key and of the digest that groups results: most change
    scores visibly, memory format and compilation change their last bits.

    Attributes:
        tile: Side in LR pixels of the squares that an image is cut into, a multiple of 8; None runs whole images.
        tile_overlap: LR pixels that each tile extends beyond its square on each side. None means the network's
            receptive field, with which tiles and whole images agree, or 16 if the network declares none.
        self_ensemble: Average the outputs of the eight flips and rotations of an image.
        dtype: Data type of weights and features: `fp32`, `fp16` or `bf16`.
        channels_last: Store features with channels last in memory.
        compile: Run with `torch.compile`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tile: Annotated[StrictInt, Field(ge=2 * ALIGNMENT, multiple_of=ALIGNMENT)] | None = None
    tile_overlap: Annotated[StrictInt, Field(ge=0, le=1024)] | None = None
    self_ensemble: StrictBool = False
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32"
    channels_last: StrictBool = False
    compile: StrictBool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tile_overlap is not None and self.tile is None:
            raise ValueError("tile_overlap needs tile; give tile too, e.g. 64")
        return self

    @property
    def chosen(self) -> dict[str, str | bool | int]:
        """Return the options that differ from the default, by name; with a tile, its overlap too."""
        values: dict[str, str | bool | int] = self.model_dump(exclude_defaults=True)
        if self.tile is not None:
            values.setdefault("tile_overlap", "receptive field")
        return values

    @property
    def record_dtype(self) -> str:
        """Return the dtype's name in records: `float32`, `float16` or `bfloat16`."""
        return DTYPES[self.dtype]

    def digest(self, protocol_digest: str) -> str:
        """Return the digest that groups results under a protocol with these options; the protocol's own by default."""
        if not self.chosen:
            return protocol_digest
        value = {"protocol": protocol_digest, "inference": self.chosen}
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def label(self, protocol: str) -> str:
        """Return a protocol's name followed by the options: `matlab-y+self-ensemble+bf16`."""
        parts = [protocol]
        if self.tile is not None:
            parts.append(f"tile{self.tile}" + (f"/{self.tile_overlap}" if self.tile_overlap is not None else ""))
        parts += [
            name.replace("_", "-") for name in ("self_ensemble", "channels_last", "compile") if getattr(self, name)
        ]
        if self.dtype != "fp32":
            parts.append(self.dtype)
        return "+".join(parts)

    def explain(self) -> list[str]:
        """Return a sentence for each option that differs from the default."""
        said = []
        if self.tile is not None:
            overlap = "the network's receptive field" if self.tile_overlap is None else f"{self.tile_overlap} LR pixels"
            said.append(f"The LR image is cut into tiles of {self.tile}x{self.tile} pixels; each sees {overlap} more.")
        if self.self_ensemble:
            said.append("The SR image is the mean of the outputs for the eight flips and rotations of the LR image.")
        if self.dtype != "fp32":
            said.append(f"Weights and features are held in {self.record_dtype}.")
        if self.channels_last:
            said.append("Features are laid out with channels last, which may change the last bits.")
        if self.compile:
            said.append("The network is compiled by torch.compile, which may change the last bits.")
        return said


DEFAULT = InferenceOptions()


def options_from(**values: object) -> InferenceOptions:
    """Make options from values given by a user, by name.

    Raises:
        ConfigError: A value is wrong.
    """
    try:
        return InferenceOptions.model_validate(values)
    except ValidationError as error:
        sentences = [problem.sentence(InferenceOptions.model_fields) for problem in problems_in(error)]
        raise ConfigError(f"inference options: {'; '.join(sentences)}") from None

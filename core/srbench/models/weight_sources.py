"""Sources of published weights: repository, commit, file, hash and licence of each tag. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from srbench.errors import ConfigError
from srbench.models.weight_files import StateDict, listed, load_checked, load_state

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

__all__ = ["PerScaleWeights", "WeightSource", "all_sources"]


@dataclass(frozen=True)
class WeightSource:
    """Location of published weights, and how to read them.

    Attributes:
        model: Canonical name of the model, its tag included.
        repository: `owner/name` of the public repository.
        commit: The commit, 40 hexadecimal digits.
        path: The file's path in the repository.
        sha256: Hash of the file.
        size: Its size in bytes.
        licence: The licence that the repository states, or "none stated".
        paper: The paper, in the short form used in tables.
        scales: The scales that the weights are for.
        key: Key of the state dict in the file, such as `params`; None takes the default of `load_state`.
        convert: Maps the file's state dict to our model's; None if the keys match.
        read: Reads files that are neither safetensors nor torch checkpoints; `load_state` by default.
    """

    model: str
    repository: str
    commit: str
    path: str
    sha256: str
    size: int
    licence: str
    paper: str
    scales: tuple[int, ...]
    key: str | None = None
    convert: Callable[[StateDict], StateDict] | None = field(default=None, compare=False)
    read: Callable[[Path], StateDict] | None = field(default=None, compare=False)

    @property
    def sources(self) -> tuple[WeightSource, ...]:
        """The files: only this one."""
        return (self,)

    def serving(self, scale: int) -> WeightSource:
        """Return the source for a scale: this one.

        Raises:
            ConfigError: This source does not support the scale.
        """
        if scale not in self.scales:
            raise _not_served(self.model, self.scales, scale)
        return self

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    @property
    def url(self) -> str:
        """Where the file can be downloaded."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"

    def file(self) -> Path:
        """Return the cached file, downloading it first if necessary.

        Raises:
            NetworkError: It is not in the cache and cannot be downloaded.
        """
        from srbench.cache import Cache

        return Cache().fetch(self.url, self.sha256, self.name, self.size)

    def load_into(self, model: Backbone) -> None:
        """Load the weights into a model created for `scales`.

        Raises:
            NetworkError: The file cannot be downloaded.
            WeightsError: The file does not fit the model.
        """
        state = self.read(self.file()) if self.read is not None else load_state(self.file(), self.key)
        if self.convert is not None:
            state = self.convert(state)
        load_checked(model, state, f"{self.repository}: {self.name}")


@dataclass(frozen=True)
class PerScaleWeights:
    """Weights published as one file per scale, under one tag.

    Attributes:
        sources: The files, all for one model and with distinct scales.
    """

    sources: tuple[WeightSource, ...]

    def __post_init__(self) -> None:
        if len({source.model for source in self.sources}) != 1 or len(set(self.scales)) != len(self.scales):
            raise ConfigError(
                "weights in a file per scale need one model name and distinct scales; got "
                + ", ".join(f"'{source.model}' for {listed(source.scales)}" for source in self.sources)
            )

    @property
    def model(self) -> str:
        """Canonical name of the model, its tag included."""
        return self.sources[0].model

    @property
    def scales(self) -> tuple[int, ...]:
        """All scales with a file."""
        return tuple(scale for source in self.sources for scale in source.scales)

    def serving(self, scale: int) -> WeightSource:
        """Return the source for a scale.

        Raises:
            ConfigError: There is none.
        """
        for source in self.sources:
            if scale in source.scales:
                return source
        raise _not_served(self.model, self.scales, scale)


def _not_served(model: str, scales: tuple[int, ...], scale: int) -> ConfigError:
    return ConfigError(f"the weights of '{model}' are for scale {listed(scales)}; scale {scale} was asked for")


def all_sources() -> list[WeightSource]:
    """Return the weight sources of all installed plugins that can be loaded, without importing torch."""
    from srbench.errors import SRBenchError
    from srbench.registry.registries import WEIGHTS

    sources: list[WeightSource] = []
    for name in WEIGHTS.names():
        try:
            sources.extend(WEIGHTS.get(name).sources)
        except SRBenchError:
            continue  # a broken plugin must not hide the others; `srbench plugins doctor` reports it
    return sources

"""Import the contributions of one distribution and examine each object, in a process that may crash.

`srbench.cli.plugin_processes` calls this in a separate process, which writes JSON lines: started steps, findings and
times. A step that was started but not finished shows where the process ended.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from srbench.cli.plugin_report import Finding
from srbench.errors import NameSyntaxError, SRBenchError
from srbench.registry import entry_points as plugins
from srbench.registry.entry_points import Contribution, PluginStatus
from srbench.registry.names import ModelName
from srbench.registry.object_types import described

__all__ = ["examine", "look_at"]

_AUTHORS = "report it to the plugin's authors"


def examine(request: Mapping[str, str]) -> None:
    """Examine the objects of a distribution, and write the findings as JSON lines.

    Args:
        request: `distribution`, its normalized name, and `result`, the file to write to.
    """
    with Path(request["result"]).open("a", encoding="utf-8") as stream:

        def write(**line: Any) -> None:
            stream.write(json.dumps(line) + "\n")
            stream.flush()

        others = _OthersClock()
        sys.meta_path.insert(0, others)
        for names in plugins.contributions().values():
            for items in names.values():
                for item in items:
                    if item.owner == request["distribution"]:
                        _examine(item, others, write)
        write(event="end")


def _examine(item: Contribution, others: _OthersClock, write: Callable[..., None]) -> None:
    about = f"{item.kind}/{item.name}"
    write(event="begin", about=about, value=item.value)
    start, before = time.perf_counter(), others.seconds
    outcome = plugins.attempt(item, guarded=False)
    write(event="imported", seconds=time.perf_counter() - start - (others.seconds - before))
    if outcome.status is not PluginStatus.OK:
        cause, _, remedy = outcome.detail.rpartition("; ")
        if remedy.startswith("`srbench plugins doctor`"):
            remedy = _AUTHORS
        write(event="finding", **_plain(Finding(outcome.status, about, cause, remedy, outcome.traceback)))
        return
    try:
        for finding in look_at(item, outcome.obj):
            write(event="finding", **_plain(finding))
    except Exception as error:  # a plugin may raise anything
        cause = f"{type(error).__name__}: {error}"
        write(
            event="finding",
            **_plain(Finding(PluginStatus.BROKEN, about, cause, _AUTHORS, traceback.format_exc())),
        )


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "status": finding.status.value,
        "about": finding.about,
        "cause": finding.cause,
        "remedy": finding.remedy,
        "traceback": finding.traceback,
    }


class _OthersClock:
    """Measure the import time of torch and sr-bench, which is not attributed to the plugin that imports them first."""

    _OTHERS = frozenset({"basicsr", "srbench", "torch", "torchvision"})

    def __init__(self) -> None:
        self.seconds = 0.0
        self._running = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find one of these modules as usual, and time its loader."""
        if name.partition(".")[0] not in self._OTHERS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = spec.loader if spec is not None else None
        if isinstance(loader, SourceFileLoader):
            execute = loader.exec_module
            loader.exec_module = lambda module: self._timed(execute, module)  # type: ignore[method-assign]
        return spec

    def _timed(self, execute: Callable[[Any], None], module: Any) -> None:
        if self._running:  # nested: one of them imports another
            execute(module)
            return
        start, self._running = time.perf_counter(), True
        try:
            execute(module)
        finally:
            self.seconds += time.perf_counter() - start
            self._running = False


def look_at(item: Contribution, obj: Any) -> Iterator[Finding]:
    """Yield problems with the object of an entry point."""
    looks: dict[str, Callable[[Contribution, Any], Iterator[tuple[PluginStatus, str, str]]]] = {
        "methods": _method,
        "backbones": _backbone,
        "baselines": _backbone,
        "metrics": _metric,
        "datasets": _dataset,
        "protocols": _protocol,
        "weights": _weights,
        "commands": _command,
        "figures": _command,
    }
    if item.kind in looks:
        for status, cause, remedy in looks[item.kind](item, obj):
            yield Finding(status, f"{item.kind}/{item.name}", cause, remedy)


Problems = Iterator[tuple[PluginStatus, str, str]]


def _broken(cause: str, remedy: str) -> tuple[PluginStatus, str, str]:
    return PluginStatus.BROKEN, cause, remedy


def _method(item: Contribution, cls: Any) -> Problems:
    from srbench.models.methods.sharing_method import SharingMethod

    if not issubclass(cls, SharingMethod):
        yield _broken(f"'{item.value}' is not a subclass of srbench.plugin.SharingMethod", "derive it from that class")
        return
    if cls.replace is SharingMethod.replace:
        yield _broken(
            f"{cls.__name__} has no `replace`, which returns the replacement of a site's module", "override `replace`"
        )
    parameters = inspect.signature(cls).parameters.values()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            yield _broken(
                f"the parameter '{parameter.name}' of {cls.__name__} cannot be given by name in a model name",
                "make every argument a keyword parameter of the constructor",
            )
            return
        try:
            ModelName("x", "y", ((parameter.name, 1),))
        except NameSyntaxError:
            yield _broken(
                f"the argument '{parameter.name}' of {cls.__name__} is not valid in a model name",
                "begin it with a letter, and use letters, digits and underscores",
            )
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if needed:
        yield (
            PluginStatus.WARNING,
            f"the argument '{needed[0]}' of {cls.__name__} has no default, so `edsr_tiny+{item.name}` is not valid",
            "give every argument a default",
        )
        return
    yield from _arguments(item, cls)


def _arguments(item: Contribution, cls: Any) -> Problems:
    """Check that a method stores its arguments as attributes of the same names, which give its canonical name."""
    kept = "store every argument as an attribute of the same name"
    method = cls()
    for parameter in inspect.signature(cls).parameters.values():
        name, default = parameter.name, parameter.default
        if not hasattr(method, name):
            yield _broken(f"{cls.__name__} does not store its argument '{name}'", kept)
            return
        if isinstance(default, int) and not isinstance(default, bool):
            try:
                other = cls(**{name: default + 1})
            except SRBenchError:
                continue  # not every number is valid as an argument
            if getattr(other, name, default) == default:
                yield _broken(f"{cls.__name__} keeps '{name}={default}' where {default + 1} is given", kept)
    config = method.config()
    if (again := cls(**config).config()) != config:
        yield _broken(
            f"{cls.__name__} made from its own arguments has others: {again} instead of {config}",
            "store arguments unchanged",
        )


def _backbone(item: Contribution, function: Any) -> Problems:
    if "scales" not in inspect.signature(function).parameters:
        yield _broken(f"'{item.value}' takes no argument `scales`", "make it a function (scales) -> Backbone")


def _metric(item: Contribution, cls: Any) -> Problems:
    metric = cls()
    for attribute in ("name", "unit", "higher_is_better"):
        if not hasattr(metric, attribute):
            yield _broken(f"{described(metric)} has no `{attribute}`", f"give the class a `{attribute}`")
    if not callable(metric):
        yield _broken(f"{described(metric)} cannot be called", "define `__call__(self, comparison) -> float`")
    yield from _same_name(item, getattr(metric, "name", item.name))


def _dataset(item: Contribution, function: Any) -> Problems:
    from srbench.data.datasets import Dataset

    dataset = function()
    if not isinstance(dataset, Dataset):
        yield _broken(f"'{item.value}' returns {described(dataset)}", "return a srbench.plugin.Dataset")
        return
    yield from _same_name(item, getattr(dataset, "name", None))


def _protocol(item: Contribution, protocol: Any) -> Problems:
    from srbench.protocols import Protocol

    if not isinstance(protocol, Protocol):
        yield _broken(f"'{item.value}' is {described(protocol)}", "make it a srbench.plugin.Protocol")
        return
    yield from _same_name(item, protocol.name)


def _weights(item: Contribution, source: Any) -> Problems:
    from srbench.models.weight_sources import PerScaleWeights, WeightSource

    if not isinstance(source, WeightSource | PerScaleWeights):
        yield _broken(f"'{item.value}' is {described(source)}", "make it a srbench.plugin.WeightSource")


def _same_name(item: Contribution, name: Any) -> Problems:
    if name != item.name:
        yield _broken(
            f"its name is {name!r}, but its entry point is '{item.name}'", "give it the same name in both places"
        )


def _command(item: Contribution, obj: Any) -> Problems:
    import typer

    if not isinstance(obj, typer.Typer) and not callable(obj):
        yield _broken(f"'{item.value}' is {described(obj)}", "make it a function, or a typer.Typer")

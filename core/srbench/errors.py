"""The exceptions that sr-bench raises.

    SRBenchError
    ├── UnknownNameError      a name that is not registered
    ├── DuplicateNameError    a name that two distributions claim
    ├── NameSyntaxError       a model name that the grammar does not accept
    ├── ConfigError           a suite, an option or an argument with a wrong value
    ├── SharingError          a sharing method that cannot be applied to a network
    ├── PluginError           a plugin that is broken, missing something or incompatible
    ├── DataError             an invalid image, data set or LR/HR pairing
    ├── WeightsError          a checkpoint that is missing, foreign, damaged or unsafe
    ├── NetworkError          a file that could not be downloaded
    ├── CostError             a network whose cost cannot be counted or measured
    └── StoreError            a results directory that cannot be written or read

A message is one sentence or two: what was given, what was expected, what to do.
The command line prints it and exits with status 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "CostError",
    "DataError",
    "DuplicateNameError",
    "NameSyntaxError",
    "NetworkError",
    "PluginError",
    "SRBenchError",
    "SharingError",
    "StoreError",
    "UnknownNameError",
    "WeightsError",
    "suggest",
]


class SRBenchError(Exception):
    """Base class of all errors meant for the user."""


class UnknownNameError(SRBenchError):
    """A name that is not registered."""


class DuplicateNameError(SRBenchError):
    """A name that two distributions claim."""


class NameSyntaxError(SRBenchError):
    """A model name that the grammar does not accept."""


class ConfigError(SRBenchError):
    """A suite, an option or an argument with a wrong value."""


class SharingError(SRBenchError):
    """A sharing method that cannot be applied to a network."""


class PluginError(SRBenchError):
    """A plugin that is broken, lacks a dependency or is incompatible."""


class DataError(SRBenchError):
    """An invalid image, data set or LR/HR pairing."""


class WeightsError(SRBenchError):
    """A checkpoint that is missing, foreign, damaged or unsafe."""


class NetworkError(SRBenchError):
    """A file that could not be downloaded."""


class CostError(SRBenchError):
    """A network whose cost cannot be counted or measured."""


class StoreError(SRBenchError):
    """A results directory that cannot be written or read."""


def suggest(name: str, known: Iterable[str], *, noun: str = "installed") -> str:
    """Return the ending of an "unknown name" sentence: the nearest name, then all of them.

    Example:
        >>> suggest("pss", ["dense", "ps"])
        "; did you mean 'ps'? installed: dense, ps"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    return f"{hint} {noun}: {', '.join(names) if names else '(none)'}"

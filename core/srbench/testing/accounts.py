"""Checks that the tools accept a network, or refuse it with a clear message."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from srbench.cost.audit import audit
from srbench.cost.counts import cost_of
from srbench.errors import PluginError, SRBenchError
from srbench.testing.subject import Check, CheckFailedError, CheckSkipped, Example, Subject, require

__all__ = ["ACCOUNTS", "SLOW"]

# Not run before measurements: an export takes seconds for any network.
SLOW = frozenset({"onnx_export_runs"})


def check_cost_runs(subject: Subject, example: Example) -> None:
    """`srbench cost` counts the network, or states in a sentence why it cannot."""
    model = subject.fresh(example, spread=False)
    for scale in subject.scales:
        _runs("cost", partial(cost_of, model, scale))


def check_audit_runs(subject: Subject, example: Example) -> None:
    """`srbench audit` lists what the network shares, or states in a sentence why it cannot."""
    model = subject.fresh(example, spread=False)
    _runs("audit", partial(audit, model))


def check_onnx_export_runs(subject: Subject, example: Example) -> None:
    """`srbench export` writes the network as ONNX, or states in a sentence why it cannot."""
    from srbench.interop.onnx import export_onnx

    model = subject.fresh(example, spread=False)
    with tempfile.TemporaryDirectory() as folder:
        try:
            _runs("export", partial(export_onnx, model, subject.scales[0], Path(folder) / "network.onnx"))
        except PluginError as error:
            raise CheckSkipped(str(error)) from None


def _runs(tool: str, call: Callable[[], object]) -> None:
    try:
        call()
    except PluginError:
        raise
    except SRBenchError as error:
        require("\n" not in str(error).strip(), f"`srbench {tool}` refuses it with more than a sentence: {error}")
    except Exception as error:
        raise CheckFailedError(f"`srbench {tool}` fails: {type(error).__name__}: {error}") from error


ACCOUNTS: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}

"""ONNX export of other projects' checkpoints in a separate process, so that a crash does not end the command.

torch's exporter runs the network's own code, and some of spandrel's networks crash the interpreter there.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench import errors
from srbench.errors import ConfigError, SRBenchError

if TYPE_CHECKING:
    from srbench.interop.onnx import Export

__all__ = ["export_checkpoint"]

_COMMAND = (sys.executable, "-m", "srbench.interop.isolated_export")
_MARK = "srbench-export:"


def export_checkpoint(path: Path, scale: int, output: Path) -> Export:
    """Export a checkpoint supported by spandrel to ONNX.

    Args:
        path: The checkpoint.
        scale: The scale that its network must have.
        output: The file to write.

    Raises:
        SRBenchError: As for `load_checkpoint` and `export_onnx`.
        ConfigError: The process crashed; the message gives the signal or status.
    """
    from srbench.interop.onnx import Export

    done = subprocess.run([*_COMMAND, str(path), str(scale), str(output)], capture_output=True, text=True, check=False)
    said = next((line for line in reversed(done.stdout.splitlines()) if line.startswith(_MARK)), None)
    if said is None:
        raise ConfigError(
            f"'{path}' cannot be exported to ONNX: the process that tried {_ending(done.returncode)}; nothing was "
            "written. The network crashes torch's exporter"
        )
    answer = json.loads(said.removeprefix(_MARK))
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["message"])
    answer["path"] = Path(answer["path"])
    answer["largest"] = {(height, width): value for height, width, value in answer["largest"]}
    return Export(**answer)


def _ending(code: int) -> str:
    if code < 0:
        known = signal.Signals._value2member_map_
        return f"was ended by {signal.Signals(-code).name if -code in known else f'signal {-code}'}"
    return f"ended with status {code}"


def _child(path: str, scale: str, output: str) -> None:
    from srbench.interop.onnx import export_onnx
    from srbench.interop.spandrel import load_checkpoint

    try:
        made = asdict(export_onnx(load_checkpoint(Path(path), int(scale)), int(scale), Path(output)))
    except SRBenchError as error:
        answer: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    else:
        sizes = [(*size, difference) for size, difference in made["largest"].items()]
        answer = {**made, "path": str(made["path"]), "largest": sizes}
    print(_MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    _child(*sys.argv[1:])

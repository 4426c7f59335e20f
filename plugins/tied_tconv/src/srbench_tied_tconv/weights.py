"""The authors' published weights, MatConvNet networks in Matlab files. Importing it needs no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.plugin import PerScaleWeights, WeightsError, WeightSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["lapsrn_author", "ms_lapsrn_r2_author", "ms_lapsrn_r5_author", "ms_lapsrn_r8_author", "read_matconvnet"]

_REPOSITORY = "phoenix104104/LapSRN"
_COMMIT = "95154bba82a3aab9bdaec8e0eedd4187babc5ed2"
_LICENCE = "none stated"


def read_matconvnet(path: Path) -> dict[str, Tensor]:
    """Read the parameters of a MatConvNet DagNN network from a Matlab file, under their own names.

    Kernels `(height, width, in, out)` of convolutions, and `(height, width, out, in)` of transposed ones, become
    torch's `(out, in, height, width)` and `(in, out, height, width)`: both are the same turn of the axes. Nothing in
    such a file is run.

    Raises:
        WeightsError: The file is missing, damaged, no Matlab file, or holds no such network; the message says which.
    """
    import numpy as np
    import torch
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    again = "give a network that MatConvNet saved, or download the file again"
    if not path.is_file():
        raise WeightsError(f"no weights file at '{path}'; give the path of a .mat file")
    try:
        content = loadmat(path, struct_as_record=False, squeeze_me=False, variable_names=["net"])
    except NotImplementedError:
        raise WeightsError(f"'{path}' is a Matlab file of version 7.3 (HDF5), and {again}") from None
    except MatReadError as error:
        raise WeightsError(f"'{path}' is damaged or no Matlab file ({error}); {again}") from None
    except Exception as error:  # a reader of binary structures raises anything at all on other bytes
        raise WeightsError(f"'{path}' is damaged or no Matlab file ({_one_line(error)}); {again}") from error
    if "net" not in content:
        raise WeightsError(f"'{path}' is a Matlab file without the variable 'net'; {again}")
    params = _field(_field(content["net"], "params"), None)
    if params is None:
        raise WeightsError(f"'{path}' holds a variable 'net' without a list 'params' of arrays; {again}")
    state: dict[str, Tensor] = {}
    for entry in np.ravel(params):
        name, value = _field(entry, "name"), _field(entry, "value")
        if name is None or value is None or value.dtype.kind != "f" or value.ndim > 4:
            raise WeightsError(f"'{path}' holds a parameter that is no array of numbers with a name; {again}")
        text = str(np.ravel(name)[0]) if np.size(name) else ""
        value = value.astype(np.float32)
        if text.endswith("_b"):
            value = value.reshape(-1)
        else:
            # Matlab drops trailing dimensions of size 1.
            value = value.reshape(value.shape + (1,) * (4 - value.ndim)).transpose(3, 2, 0, 1)
        state[text] = torch.from_numpy(np.ascontiguousarray(value))
    return state


def _field(struct: Any, name: str | None) -> Any:
    """Return a field of a Matlab struct, or None; with no name, the array itself if it holds structs."""
    import numpy as np

    if isinstance(struct, np.ndarray) and struct.dtype == object and struct.size:
        if name is None:
            return struct if all(hasattr(entry, "_fieldnames") for entry in struct.ravel()) else None
        struct = struct.ravel()[0]
    return getattr(struct, name, None) if name is not None else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_LAYERS = {"upconv": "up.conv", "residual_conv": "residual", "img_up": "image_up"}
_PARAMETERS = {"f": "weight", "b": "bias"}


def _from_lapsrn(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # Their levels are counted from the finest, level1, to the coarsest, which is the first.
    coarsest = max((int(match[1]) for key in state if (match := re.match(r"level(\d)_", key))), default=0)
    converted = {}
    for key, tensor in state.items():
        new = key
        if match := re.fullmatch(r"level(\d)_(\w+)_([fb])", key):
            level, layer, parameter = match.groups()
            number = re.fullmatch(r"conv(\d+)", layer)
            inner = f"convs.{int(number[1]) - 1}" if number else _LAYERS.get(layer, layer)
            new = f"levels.{coarsest - int(level)}.{inner}.{_PARAMETERS[parameter]}"
        elif match := re.fullmatch(r"input_conv_([fb])", key):
            new = f"entry.{_PARAMETERS[match[1]]}"
        converted[new] = tensor
    return converted


def _from_ms_lapsrn(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"upconv": "up", "residual_conv": "residual", "img_up": "image_up"}
    converted = {}
    for key, tensor in state.items():
        new = key
        if match := re.fullmatch(r"input_conv_([fb])", key):
            new = f"entry.{_PARAMETERS[match[1]]}"
        elif match := re.fullmatch(r"(\w+)_([fb])", key):
            new = f"shared.native_{names.get(match[1], match[1])}.{_PARAMETERS[match[2]]}"
        converted[new] = tensor
    return converted


def _lapsrn(scale: int, sha256: str, size: int) -> WeightSource:
    return WeightSource(
        model="lapsrn.author",
        repository=_REPOSITORY,
        commit=_COMMIT,
        path=f"pretrained_models/LapSRN_x{scale}.mat",
        sha256=sha256,
        size=size,
        licence=_LICENCE,
        paper="Lai et al., LapSRN, CVPR 2017",
        scales=(scale,),
        convert=_from_lapsrn,
        read=read_matconvnet,
    )


lapsrn_author = PerScaleWeights(
    (
        _lapsrn(2, "e368225004e2d5e49d772c5c4eb16c3f28f7fe3b68fec7a9bb91f55e25602baa", 1518234),
        _lapsrn(4, "1d845a3efdca8848968df9e216931419e3b1122373a233d612b4f599985e6367", 3032853),
        _lapsrn(8, "a887221465fe22ebda8ad5963cf812db807e7a9aa8e9d9453aee60e237af5e10", 2486279),
    )
)


def _ms_lapsrn(blocks: int, sha256: str, size: int) -> WeightSource:
    return WeightSource(
        model=f"ms_lapsrn_r{blocks}.author",
        repository=_REPOSITORY,
        commit=_COMMIT,
        path=f"pretrained_models/MSLapSRN_D5R{blocks}.mat",
        sha256=sha256,
        size=size,
        licence=_LICENCE,
        paper="Lai et al., MS-LapSRN, TPAMI 2018",
        scales=(2, 4, 8),
        convert=_from_ms_lapsrn,
        read=read_matconvnet,
    )


ms_lapsrn_r2_author = _ms_lapsrn(2, "4b214952ef911a2ff95354c0669f3e0766bc6c5decbfca7ddb39834f3998da11", 920148)
ms_lapsrn_r5_author = _ms_lapsrn(5, "149e78a5d7ab1024b3947b46d2b26c86759aa90b261be222cc75c60cf384b25c", 933421)
ms_lapsrn_r8_author = _ms_lapsrn(8, "96dbabe91e964a83b545dbd98580586c5ae312b4f7294ea10519100d0dd1d52d", 987015)

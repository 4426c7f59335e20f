"""MatConvNet's files: read without running anything, and refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from srbench.errors import ConfigError, WeightsError
from srbench.models.factory import create_model
from srbench_tied_tconv.weights import ms_lapsrn_r2_author, read_matconvnet


def saved(path: Path, net: object) -> Path:
    savemat(path, {"net": net})
    return path


def params(**arrays: np.ndarray) -> np.ndarray:
    made = np.empty((1, len(arrays)), dtype=[("name", object), ("value", object)])
    for index, item in enumerate(arrays.items()):
        made[0, index] = item
    return made


def test_kernels_are_turned_and_trailing_dimensions_put_back(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).random((3, 3, 2, 5)).astype(np.float32)
    last = np.random.default_rng(1).random((3, 3, 5)).astype(np.float32)
    net = {"params": params(conv1_f=kernel, conv1_b=np.ones((1, 5), np.float32), residual_conv_f=last)}
    state = read_matconvnet(saved(tmp_path / "net.mat", net))
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "conv1_f": (5, 2, 3, 3),
        "conv1_b": (5,),
        "residual_conv_f": (1, 5, 3, 3),
    }
    assert torch.equal(state["conv1_f"][4, 1], torch.from_numpy(np.ascontiguousarray(kernel[:, :, 1, 4])))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged or no Matlab file"),
        (b"not a Matlab file at all, but long enough to look at its header" * 4, "damaged or no Matlab file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(300), "damaged or no Matlab file"),
    ],
)
def test_foreign_files_are_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "foreign.mat"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
        read_matconvnet(path)


def test_matlab_files_without_a_network_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "other.mat"
    savemat(path, {"something": np.zeros(3)})
    with pytest.raises(WeightsError, match="without the variable 'net'"):
        read_matconvnet(path)
    with pytest.raises(WeightsError, match="without a list 'params'"):
        read_matconvnet(saved(path, np.zeros(3)))
    with pytest.raises(WeightsError, match="without a list 'params'"):
        read_matconvnet(saved(path, {"layers": 1}))
    with pytest.raises(WeightsError, match="no array of numbers"):
        read_matconvnet(saved(path, {"params": params(conv1_f=np.array(["text"]))}))
    with pytest.raises(WeightsError, match="no weights file"):
        read_matconvnet(tmp_path / "nowhere.mat")


@pytest.mark.parametrize("kept", [100, 5_000, 500_000])
def test_a_cut_file_is_refused_with_the_reason(shared: Path, tmp_path: Path, kept: int) -> None:
    whole = (shared / "weights" / "LapSRN" / "MSLapSRN_D5R2.mat").read_bytes()
    path = tmp_path / "cut.mat"
    path.write_bytes(whole[:kept])
    with pytest.raises(WeightsError, match="damaged"):
        read_matconvnet(path)


def test_a_flipped_byte_is_refused_or_read_as_numbers(shared: Path, tmp_path: Path) -> None:
    """Whatever a damaged file holds, the answer is a sentence or tensors: never a traceback, never code that runs."""
    whole = bytearray((shared / "weights" / "LapSRN" / "MSLapSRN_D5R2.mat").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(25):
        damaged = bytearray(whole)
        damaged[int(rng.integers(128, len(whole)))] ^= int(rng.integers(1, 256))
        path = tmp_path / "damaged.mat"
        path.write_bytes(damaged)
        try:
            state = read_matconvnet(path)
        except WeightsError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())


def test_the_network_of_another_paper_is_refused_by_its_keys(shared: Path) -> None:
    assert ms_lapsrn_r2_author.convert is not None
    state = ms_lapsrn_r2_author.convert(read_matconvnet(shared / "weights" / "LapSRN" / "LapSRN_x2.mat"))
    from srbench.models.weight_files import load_checked

    with pytest.raises(WeightsError, match=r"missing.*unexpected"):
        load_checked(create_model("ms_lapsrn_r2", scales=(2, 4, 8)), state, "LapSRN_x2.mat")


@pytest.mark.parametrize("name", ["lapsrn.author", "ms_lapsrn_r8.author"])
def test_a_scale_that_the_weights_lack_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="are for scale 2, 4, 8; scale 3 was asked for"):
        create_model(name, scale=3)

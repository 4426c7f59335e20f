"""Files of weights: what is written, what is read, and what is refused without running any of it."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import srbench
from srbench.errors import WeightsError
from srbench.models.backbone import Backbone
from srbench.models.weight_files import load_into, load_state, save_state, saved_for, unique_state

SCALAR = np.float64(0).__reduce__()[0]


def _equal(one: Backbone, two: Backbone) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["edsr_tiny", "edsr_tiny+recursive", "edsr_tiny+ps(ratio=1/4)", "edsr_tiny+dense"])
def test_a_round_trip_keeps_values_and_sharing(tmp_path: Path, name: str) -> None:
    saved = srbench.create_model(name, scale=2, seed=1)
    save_state(saved, tmp_path / "w.safetensors")
    loaded = srbench.create_model(name, scale=2, seed=2)
    assert not _equal(saved, loaded)
    load_into(loaded, tmp_path / "w.safetensors")
    assert _equal(saved, loaded)
    assert srbench.count_parameters(loaded) == srbench.count_parameters(saved)
    assert sum(tensor.numel() for tensor in load_state(tmp_path / "w.safetensors").values()) == (
        srbench.count_parameters(saved)
    )


def test_equal_weights_are_equal_files_and_others_are_not(tmp_path: Path) -> None:
    hashes = [
        save_state(
            srbench.create_model("edsr_tiny+ps(ratio=1/4)", scale=2, seed=seed), tmp_path / f"{index}.safetensors"
        )
        for index, seed in enumerate((1, 1, 2))
    ]
    contents = [(tmp_path / f"{index}.safetensors").read_bytes() for index in range(3)]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    assert hashes[0] == hashes[1] != hashes[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.safetensors", "1.safetensors", "2.safetensors"]


def test_a_tensor_under_two_keys_is_not_written(tmp_path: Path) -> None:
    class Twice(Backbone):
        def __init__(self) -> None:
            super().__init__((2,))
            self.one = nn.Conv2d(3, 3, 1)
            self.two = self.one

    with pytest.raises(WeightsError, match=r"'two.weight' and 'one.weight' of Twice hold one tensor"):
        unique_state(Twice())
    with pytest.raises(WeightsError):
        save_state(Twice(), tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nesting", [(), ("params",), ("params_ema",), ("state_dict",), ("model", "net")])
@pytest.mark.parametrize("zipped", [True, False])
def test_nested_state_dicts_are_found(tmp_path: Path, nesting: tuple[str, ...], zipped: bool) -> None:
    model = srbench.create_model("edsr_tiny", scale=2, seed=1)
    content: Any = model.state_dict()
    for key in reversed(nesting):
        content = {key: content, "iteration": 3, "best": np.float64(31.5)}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    other = srbench.create_model("edsr_tiny", scale=2, seed=2)
    load_into(other, tmp_path / "w.pth")
    assert _equal(model, other)


def test_params_ema_is_taken_before_params(tmp_path: Path) -> None:
    torch.save({"params": {"a": torch.zeros(1)}, "params_ema": {"a": torch.ones(1)}}, tmp_path / "w.pth")
    assert load_state(tmp_path / "w.pth")["a"].item() == 1


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        # Counts of the stored tensors; the second file holds numpy scalars beside them.
        ("saturnian77_CARN_DRRN-PS/drrnps.pth", 113),
        ("saturnian77_SRFBN-PS/srfbnspsx2.pth", 79),
    ],
)
def test_the_authors_files_are_read(shared: Path, path: str, numbers: int) -> None:
    state = load_state(shared / "weights" / path)
    assert len(state) == numbers
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_srfbn_ps_needs_the_allow_list(shared: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"multiarray\.scalar"):
        torch.load(
            shared / "weights" / "saturnian77_SRFBN-PS" / "srfbnspsx2.pth", map_location="cpu", weights_only=True
        )


def test_weights_of_another_model_are_refused_by_name_with_the_keys(tmp_path: Path) -> None:
    save_state(srbench.create_model("edsr_tiny", scale=2), tmp_path / "w.safetensors")
    other = srbench.create_model("edsr_tiny+recursive", scale=2)
    before = {key: tensor.clone() for key, tensor in other.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_into(other, tmp_path / "w.safetensors")
    said = str(caught.value)
    assert "for 'edsr_tiny' (x2), not for 'edsr_tiny+recursive' (x2)" in said
    assert "4 missing: shared.recursive_conv1.weight" in said
    assert "16 unexpected: body.0.conv1.bias" in said
    assert "and 10 more" in said
    assert all(torch.equal(before[key], tensor) for key, tensor in other.state_dict().items())


def test_weights_of_another_scale_are_refused_even_where_keys_agree(tmp_path: Path) -> None:
    save_state(srbench.create_model("drrn_b1u9", scale=2), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"for 'drrn_b1u9' \(x2\), not for 'drrn_b1u9' \(x3\)$"):
        load_into(srbench.create_model("drrn_b1u9", scale=3), tmp_path / "w.safetensors")


def test_the_tag_that_weights_came_from_does_not_matter(tmp_path: Path, filled_cache: Path) -> None:
    author = srbench.create_model("drrn_b1u9+ps.author", scale=2)
    save_state(author, tmp_path / "w.safetensors")
    about = saved_for(tmp_path / "w.safetensors")
    assert about is not None
    assert str(about) == "'drrn_b1u9+ps(ratio=1/9,shape=CxCx1x1)' (x2)"
    plain = srbench.create_model(about.model, scale=2)
    load_into(plain, tmp_path / "w.safetensors")
    assert _equal(author, plain)


def test_a_foreign_state_dict_lists_missing_unexpected_and_shapes_bounded(tmp_path: Path) -> None:
    state = srbench.create_model("edsr_tiny", scale=2).state_dict()
    state["conv_last.bias"] = torch.zeros(7)
    del state["conv_first.weight"]
    state |= {f"extra.{index}": torch.zeros(1) for index in range(1000)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load_into(srbench.create_model("edsr_tiny", scale=2), tmp_path / "w.pth")
    said = str(caught.value)
    assert "1 missing: conv_first.weight;" in said
    assert "1000 unexpected: extra.0, " in said
    assert "and 994 more" in said
    assert "1 of another shape: conv_last.bias is 7 instead of 3" in said
    assert len(said) < 600


class _Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def _with_pickle(path: Path, content: bytes) -> None:
    """Write a checkpoint of torch's zip format whose pickle is `content`."""
    torch.save({"a": torch.zeros(1)}, path.with_suffix(".base"))
    with zipfile.ZipFile(path.with_suffix(".base")) as base, zipfile.ZipFile(path, "w") as file:
        for name in base.namelist():
            file.writestr(name, content if name.endswith("data.pkl") else base.read(name))
    path.with_suffix(".base").unlink()


def _object_scalar(core: str, payload: bytes) -> bytes:
    """Return a pickle that makes a numpy scalar of object type from a payload, and never sets the type's state."""
    return (
        b"\x80\x02}X\x01\x00\x00\x00a" + f"cnumpy.{core}.multiarray\nscalar\n".encode()
        # numpy.dtype("O8", False, True), without the BUILD that torch would refuse
        + b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R"
        + b"c_codecs\nencode\nX" + struct.pack("<I", len(payload)) + payload + b"X\x06\x00\x00\x00latin1\x86R"
        + b"\x86Rs."
    )  # fmt: skip


def _malicious(kind: str, path: Path, mark: Path) -> None:
    call = _Call(os.system, f"touch '{mark}'")
    state = {"w": torch.zeros(2)}
    if kind in ("zip", "legacy"):
        torch.save({"params": state, "more": call}, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "eval":
        torch.save({"params": state, "more": _Call(eval, f"open({str(mark)!r}, 'w')")}, path)
    elif kind.startswith("plain"):
        path.write_bytes(pickle.dumps({"params": call}, protocol=int(kind[-1])))
    elif kind == "whole module":
        torch.save(nn.Conv2d(3, 3, 1), path)
    elif kind == "object array":
        torch.save({"params": state, "more": np.array([call], dtype=object)}, path)
    elif kind == "object scalar":
        torch.save({"params": state, "more": _Call(SCALAR, np.dtype("O"), pickle.dumps(call))}, path)
    elif kind == "object in a scalar":
        torch.save({"params": state, "more": _Call(SCALAR, np.dtype("O"), call)}, path)
    elif kind == "raw bytes scalar":
        torch.save({"params": state, "more": _Call(SCALAR, np.dtype("V8"), b"12345678")}, path)
    else:
        core = "_core" if kind.endswith("2") else "core"
        _with_pickle(path, _object_scalar(core, f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()))


@pytest.mark.parametrize("into_model", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        "zip",
        "legacy",
        "eval",
        "plain 2",
        "plain 4",
        "whole module",
        "object array",
        "object scalar",
        "object in a scalar",
        "raw bytes scalar",
        "object scalar without state",
        "object scalar without state 2",
    ],
)
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, kind: str, into_model: bool) -> None:
    path, mark = tmp_path / "w.pth", tmp_path / "it-ran"
    _malicious(kind, path, mark)
    with pytest.raises(WeightsError, match=r"w\.pth' was refused: ") as caught:
        load_into(srbench.create_model("edsr_tiny", scale=2), path) if into_model else load_state(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_the_malicious_files_would_run_if_they_were_unpickled(tmp_path: Path) -> None:
    path, mark = tmp_path / "w.pth", tmp_path / "it-ran"
    _malicious("zip", path, mark)
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_the_allow_list_is_left_as_it_was(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1), "best": np.float64(1)}, tmp_path / "w.pth")
    before = set(map(repr, torch.serialization.get_safe_globals()))  # torch keeps a set: the order means nothing
    load_state(tmp_path / "w.pth")
    assert set(map(repr, torch.serialization.get_safe_globals())) == before


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    model, path = srbench.create_model("edsr_tiny", scale=2), tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(model.state_dict(), path)
    else:
        save_state(model, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(WeightsError, match=rf"w{suffix}' is (a )?(damaged|empty)"):
        load_into(model, path)


@pytest.mark.parametrize(
    "content",
    [
        b"this is not a checkpoint\n",
        b"\x89PNG\r\n\x1a\n" + bytes(90),
        b"{}",
        b"\x80\x02",
        bytes(range(256)),
        b"PK\x03\x04",
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.pth' is damaged, or no checkpoint of tensors"):
        load_state(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {}, {"params": {}}, {"params": {"a": 3}}, {"a": "b"}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_state(tmp_path / "w.pth")


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    for read in (load_state, saved_for):
        with pytest.raises(WeightsError, match=rf"'{tmp_path}' is a folder"):
            read(tmp_path)
        with pytest.raises(WeightsError, match=r"no weights file at '.*no\.pth'"):
            read(tmp_path / "no.pth")


def test_a_header_that_is_not_ours_says_nothing(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for index, metadata in enumerate((None, {"format": "pt"}, {"srbench": "?"}, {"srbench": json.dumps([1])})):
        save_file({"a": torch.zeros(1)}, tmp_path / f"{index}.safetensors", metadata=metadata)
        assert saved_for(tmp_path / f"{index}.safetensors") is None


def test_weights_of_one_initialisation_load_into_a_model_of_another(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    svd = srbench.create_model("edsr_tiny+ps(ratio=1/2,init=svd)", scale=2, seed=0)
    save_state(svd, path)
    plain = srbench.create_model("edsr_tiny+ps(ratio=1/2)", scale=2, seed=1)
    load_into(plain, path)
    assert plain.state_dict().keys() == svd.state_dict().keys()
    assert all(torch.equal(tensor, svd.state_dict()[key]) for key, tensor in plain.state_dict().items())

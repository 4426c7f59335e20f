"""Laws of suites, keys, the results store and crops."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from srbench.errors import ConfigError
from srbench.images.crops import crop_box
from srbench.results.records import Record, slugify
from srbench.results.store import RunStore
from srbench.runs import fingerprint
from srbench.storage import canonical_json
from srbench.suite.definition import load_suite, yaml_lines

SUITE: dict[str, Any] = {
    "name": "law",
    "title": "A suite",
    "scale": 2,
    "models": ["bicubic", {"backbone": "edsr_tiny", "method": "recursive"}],
    "datasets": ["embedded-test"],
    "protocol": "matlab-y",
    "metrics": ["psnr_y"],
    "train": {"data": "embedded-train", "iterations": 5, "batch_size": 4},
    "budget": "none",
}
PLACES = [(key,) for key in SUITE] + [("train", key) for key in SUITE["train"]]


@st.composite
def misspelt(draw: st.DrawFn) -> tuple[tuple[str, ...], str]:
    """Draw a key of the suite and that key with one letter doubled, dropped or exchanged with the next."""
    place = draw(st.sampled_from(PLACES))
    key = place[-1]
    at = draw(st.integers(0, len(key) - 2))
    kind = draw(st.sampled_from(["double", "drop", "exchange"]))
    wrong = {
        "double": key[: at + 1] + key[at:],
        "drop": key[:at] + key[at + 1 :],
        "exchange": key[:at] + key[at + 1] + key[at] + key[at + 2 :],
    }[kind]
    assume(wrong != key)
    return place, wrong


@given(case=misspelt())
def test_misspelt_key_is_named_with_its_file_line_and_the_key_that_was_meant(case: tuple[tuple[str, ...], str]) -> None:
    place, wrong = case
    text = yaml.safe_dump(SUITE, sort_keys=False)
    lines = text.splitlines()
    indent = "  " * (len(place) - 1)
    start = lines.index("train:") if len(place) > 1 else 0
    number = next(i for i in range(start, len(lines)) if lines[i].startswith(f"{indent}{place[-1]}:"))
    lines[number] = lines[number].replace(f"{place[-1]}:", f"{wrong}:", 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "law.yaml"
        path.write_text("\n".join(lines))
        with pytest.raises(ConfigError) as caught:
            load_suite(path)
    message = str(caught.value)
    # A required key that is misspelt is missing too; that is said at the line of what it is missing from.
    if "is missing" in message:
        assert f"'{'.'.join(place)}' is missing" in message
        assert re.search(r"law\.yaml, line \d+: ", message)
        return
    assert f"law.yaml, line {number + 1}: unknown key '{wrong}'; did you mean '{place[-1]}'?" in message


@given(text=st.text(alphabet=st.sampled_from("ab:-[]{}\n \t\"'&*!|>%@`#,?1."), max_size=40))
def test_any_text_is_a_mapping_or_a_sentence(text: str) -> None:
    refusal = "some.yaml"
    try:
        value: object = yaml_lines.parse(text, "some.yaml").value
    except ConfigError as error:
        value, refusal = {}, str(error)
    assert isinstance(value, dict)
    assert refusal.startswith("some.yaml")
    assert "\n" not in refusal


@given(
    place=st.sampled_from([("scale",), ("models",), ("datasets",), ("metrics",), ("name",), ("train",), ("budget",)]),
    value=st.sampled_from([None, -3, 2.5, True, [None], {"a": 1}, ""]),
)
def test_wrong_value_is_a_sentence_with_a_line(place: tuple[str, ...], value: object) -> None:
    assume(not (place == ("budget",) and value == ""))
    assume(not (place in (("train",), ("metrics",)) and value is None))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "law.yaml"
        path.write_text(yaml.safe_dump({**SUITE, place[0]: value}, sort_keys=False))
        with pytest.raises(ConfigError, match=r"law\.yaml, line \d+: "):
            load_suite(path)


KEY: dict[str, Any] = {
    "model": "edsr_tiny",
    "scale": 2,
    "scales": (2,),
    "weights": "w",
    "dataset_hash": "d",
    "protocol_digest": "p",
    "metrics": ("psnr_y", "ssim_y"),
    "code": "c",
    "numerics": {"tf32": False},
}
OTHER: dict[str, Any] = {
    "model": "edsr_tiny+recursive",
    "scale": 3,
    "scales": (2, 3),
    "weights": None,
    "dataset_hash": "e",
    "protocol_digest": "q",
    "metrics": ("psnr_y",),
    "code": "x",
    "numerics": {"tf32": True},
}


@given(changed=st.sets(st.sampled_from(sorted(KEY)), min_size=1))
def test_key_changes_with_everything_that_decides_a_result(changed: set[str]) -> None:
    other = {**KEY, **{name: OTHER[name] for name in changed}}
    assert fingerprint.cell_key(**other) != fingerprint.cell_key(**KEY)


@given(order=st.permutations(KEY["metrics"]))
def test_key_does_not_depend_on_the_order_of_metrics(order: list[str]) -> None:
    assert fingerprint.cell_key(**{**KEY, "metrics": order}) == fingerprint.cell_key(**KEY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=st.dictionaries(st.text(), json_values, max_size=5), shuffle=st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any], shuffle: Any) -> None:
    items = list(value.items())
    shuffle.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(text=st.text(max_size=300))
def test_slug_is_a_file_name_on_every_system(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,119}", slugify(text))


@given(data=st.data())
def test_one_changed_byte_of_a_cell_and_it_no_longer_counts(data: st.DataObject) -> None:
    record = Record(
        key="ab" * 32,
        status="ok",
        model="bicubic",
        backbone="bicubic",
        scale=2,
        dataset="A",
        dataset_hash="h",
        protocol="matlab-y",
        protocol_digest="d",
        tier="reproduced",
        created="2026-01-01T00:00:00+00:00",
    )
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(folder)
        directory = store.write(record, pd.DataFrame({"image": ["a"], "psnr_y": [30.0]}))
        path = directory / data.draw(st.sampled_from(["record.json", "per_image.parquet"]))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        assert store.cells() == []


@given(
    hr=npst.arrays(np.uint8, st.tuples(st.integers(4, 24), st.integers(4, 24), st.just(3))),
    size=st.integers(2, 12),
    scale=st.integers(1, 4),
)
def test_crop_has_the_most_gradient_energy_of_all_squares_on_the_grid(
    hr: np.ndarray[Any, Any], size: int, scale: int
) -> None:
    top, left, bottom, right = crop_box(hr, size, scale)
    height, width = bottom - top, right - left
    assert 0 <= top < bottom <= hr.shape[0]
    assert 0 <= left < right <= hr.shape[1]
    assert all(value % scale == 0 for value in (top, left, bottom, right))
    grey = hr.astype(float).mean(axis=2)
    energy = np.zeros_like(grey)
    energy[:, 1:] += np.diff(grey, axis=1) ** 2
    energy[1:, :] += np.diff(grey, axis=0) ** 2

    def total(y: int, x: int) -> float:
        return float(energy[y : y + height, x : x + width].sum())

    best = max(
        total(y, x) for y in range(0, hr.shape[0] - height + 1, scale) for x in range(0, hr.shape[1] - width + 1, scale)
    )
    # The code adds up in another order.
    assert total(top, left) == pytest.approx(best, rel=1e-9, abs=1e-6)

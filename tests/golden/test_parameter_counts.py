"""Parameter counts, against the printed tables and FACTS's formula."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from srbench.models.counting import count_parameters, count_stored
from srbench.models.factory import create_model
from srbench.models.weight_files import save_state

# Park and Cho, WACV 2025, supplement, Table 1 (EDSR-baseline x2): shape, ratio, parameters as printed (millions).
TABLE_1 = [
    *[("64x64x1x1", f"{n}/16", printed) for n, printed in zip(
        (1, 2, 4, 6, 8, 10, 12, 14), (0.27, 0.35, 0.51, 0.66, 0.82, 0.98, 1.14, 1.30), strict=True)],
    *[("64x1x3x3", ratio, printed) for ratio, printed in (("1/32", 0.36), ("1/16", 0.53), ("2/16", 0.86))],
    *[(shape, f"{n}/16", printed) for shape in ("64x32x1x1", "32x64x1x1") for n, printed in zip(
        (1, 4, 8, 12), (0.29, 0.57, 0.95, 1.32), strict=True)],
    *[(shape, f"{n}/16", printed) for shape in ("64x8x3x3", "8x64x3x3") for n, printed in zip(
        (1, 4, 8, 12), (0.27, 0.50, 0.81, 1.12), strict=True)],
]  # fmt: skip


def test_the_table_has_27_rows() -> None:
    assert len(TABLE_1) == 27


@pytest.mark.parametrize(("shape", "ratio", "printed"), TABLE_1)
def test_ps_rows_of_table_1(shape: str, ratio: str, printed: float) -> None:
    model = create_model(f"edsr_baseline+ps(ratio={ratio},shape={shape})", scale=2)
    elements = 1
    for size in shape.split("x"):
        elements *= int(size)
    tiles = 36864 // elements
    filters = round(Fraction(ratio) * 32 * tiles)
    # FACTS: head, body tail, upsampler, tail + biases + bank + coefficients.
    formula = 188_163 + 32 * 64 + filters * elements + 32 * tiles * filters
    assert count_parameters(model) == count_stored(model) == formula
    # Printed: rounded to thousands first, then to 0.01 M (halves up, as the table does).
    thousands = Fraction((formula + 500) // 1000)
    assert int((thousands + 5) // 10) == round(printed * 100)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # FACTS, computed there and compared with the printed table.
        ("edsr_baseline", 1_369_859),
        ("edsr_baseline+dense", 1_369_859),
        ("edsr_baseline+recursive", 262_019),
        ("edsr_baseline+ps(ratio=1/16,shape=64x64x1x1)", 269_123),
        ("edsr_baseline+ps(ratio=4/16,shape=64x64x1x1)", 505_859),
        ("edsr_baseline+ps(ratio=8/16,shape=64x64x1x1)", 821_507),
        ("edsr_baseline+ps(ratio=14/16,shape=64x64x1x1)", 1_294_979),
        ("edsr_baseline+ps(ratio=1/32,shape=64x1x3x3)", 358_147),
        ("edsr_baseline+ps(ratio=1/16,shape=Cx1xKxK)", 526_083),
        ("edsr_baseline+ps(ratio=2/16,shape=64x1x3x3)", 861_955),
        ("edsr_baseline+ps(ratio=4/16,shape=64x8x3x3)", 501_507),
        ("edsr_baseline+ps(ratio=1/16,shape=32x64x1x1)", 284_675),
        ("edsr_baseline+dsconv(blocks=16)", 341_763),
        ("edsr_baseline+dsconv", 341_763),
        ("edsr_baseline+dsconv(blocks=12)", 598_787),
        ("edsr_baseline+dsconv(blocks=8)", 855_811),
        ("edsr_baseline+dsconv(blocks=4)", 1_112_835),
    ],
)
def test_figures_of_facts(name: str, count: int) -> None:
    assert count_parameters(create_model(name, scale=2)) == count


def test_drrn_is_the_recursive_network() -> None:
    # Weights only: entry 1,152, two shared convs 2 x 147,456, exit 1,152 = 297,216, the 297k of DRRN's row (the
    # depth-52
    # variant shares the same convs); with the biases of entry and exit 297,345.
    native = create_model("drrn_b1u9", scales=(2, 3, 4))
    assert count_parameters(native) == count_parameters(create_model("drrn_b1u9+recursive", scale=2)) == 297_345
    assert sum(p.numel() for p in native.parameters() if p.dim() > 1) == 297_216


def test_drrn_ps_is_306093_unique_and_300261_deployed(tmp_path: Path) -> None:
    # FACTS; the authors' file stores 16,231,341 numbers, 55 copies of the bank.
    model = create_model("drrn_b1u9+ps.author", scales=(2, 3, 4), pretrained=False)
    assert count_parameters(model) == count_stored(model) == 306_093
    assert all(count_parameters(model.at_scale(scale)) == 300_261 for scale in (2, 3, 4))
    save_state(model, tmp_path / "drrn_ps.safetensors")
    assert os.path.getsize(tmp_path / "drrn_ps.safetensors") < 1.3e6


@pytest.mark.parametrize(
    ("name", "scales", "count"),
    [
        # FACTS, "Totals"; the mean shifts' 24 frozen numbers are in them.
        ("carn", (2, 3, 4), 1_591_963),
        ("carn+ps(ratio=8/9)", (2, 3, 4), 1_590_523),
        ("carn+ps(ratio=6/9)", (2, 3, 4), 1_425_571),
        ("carn_m", (2, 3, 4), 414_811),
        ("carn_m+recursive", (2, 3, 4), 414_811),
        ("srfbn_s", (2,), 282_442),
        ("srfbn_s", (3,), 375_626),
        ("srfbn_s", (4,), 483_146),
        ("srfbn_s+recursive", (2,), 282_442),
        ("srfbn_s+ps(ratio=3/16,shape=Cx1xKxK)", (2,), 282_355),
        ("srfbn_s+ps(ratio=19/96,shape=Cx1xKxK)", (3,), 373_363),
        ("srfbn_s+ps(ratio=5/24,shape=Cx1xKxK)", (4,), 481_011),
        # edsr_baseline-Fixed is above; rcan_g5b10-Fixed has 2 of its 100 convolutions of 36,928 numbers.
        ("rcan_g5b10+recursive", (2,), 4_094_603 - 98 * 36_928),
    ],
)
def test_figures_of_the_multi_scale_and_feedback_networks(name: str, scales: tuple[int, ...], count: int) -> None:
    model = create_model(name, scales=scales)
    assert count_parameters(model) == count_stored(model) == count


@pytest.mark.parametrize(
    ("name", "scale", "filters"),
    [
        # FACTS, "N_p".
        ("carn+ps(ratio=6/9)", 2, (108, 4096)),
        ("carn+ps(ratio=8/9)", 2, (144, 4096)),
        ("srfbn_s+ps(ratio=3/16,shape=Cx1xKxK)", 2, (72, 32 * 36)),
        ("srfbn_s+ps(ratio=19/96,shape=Cx1xKxK)", 3, (76, 32 * 49)),
        ("srfbn_s+ps(ratio=5/24,shape=Cx1xKxK)", 4, (80, 32 * 64)),
    ],
)
def test_banks_of_carn_ps_and_srfbn_ps(name: str, scale: int, filters: tuple[int, int]) -> None:
    state = create_model(name, scale=scale).state_dict()
    assert [tuple(tensor.shape) for key, tensor in state.items() if key.endswith(".filters")] == [filters]


def test_carn_deploys_its_own_upsampler_only() -> None:
    # Of the total, x2's upsampler has 64 * 256 * 9 + 256 numbers, x3's 64 * 576 * 9 + 576, x4's twice x2's.
    upsamplers = {2: 147_712, 3: 332_352, 4: 295_424}
    model = create_model("carn", scales=(2, 3, 4))
    for scale in (2, 3, 4):
        expected = 1_591_963 - sum(upsamplers.values()) + upsamplers[scale]
        assert (
            count_parameters(model.at_scale(scale)) == count_parameters(create_model("carn", scale=scale)) == expected
        )


def test_num_filters_and_ratio_size_the_same_bank() -> None:
    by_ratio = create_model("drrn_b1u9+ps(ratio=1/9)", scale=2)
    by_number = create_model("drrn_b1u9+ps(num_filters=18)", scale=2)
    assert count_parameters(by_ratio) == count_parameters(by_number) == 300_261

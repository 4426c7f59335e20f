"""The names of `srbench.plugin`, which strangers' plugins build on: to change them is to change the interface."""

from __future__ import annotations

import subprocess
import sys

import srbench.plugin as plugin

NAMES = """
    Architecture BIAS_POLICIES Backbone BlockSpec CONVOLUTION ClusterExecutor Comparison ConfigError ConvOptions
    Crash DataError Dataset Evaluation Executor FIGURE_COLORS FIGURE_DIVERGING FIGURE_DPI FREE Feed FigureSheet
    FolderDataset GeneratedConv GeneratedConvMethod Licence LumaBackbone Metric ModelName MultiScaleModule OTHER
    PRODUCT PerScaleWeights Protocol RunStore SRBenchError SharedBanks SharedModuleRef SharingError SharingMethod
    SharingSite SiteGroup Task TiedLayer UnknownNameError WeightSource WeightsError apply_method basicsr_archs
    basicsr_backbone canonical_name check_figure_path check_json_target check_model conformance_test
    count_parameters create_model crop_box evaluate evaluate_protocols figure_style fold get_metric get_protocol
    image_batch layer_at list_protocols load_into load_network make_method matlab_bicubic mean_shift on_meta
    open_dataset parametrize_with_checks parse parse_json parse_scales parse_value pick_device plain_conv
    print_table pruned_conv read_text register_backbone register_dataset register_method register_metric
    register_protocol register_rule run_checks save_figure save_state sha256_file suggest super_resolve
    tagged_source tie trace_feeds work_at write_json
"""


def test_the_interface_has_these_names() -> None:
    assert sorted(plugin.__all__) == NAMES.split()


def test_every_name_is_there_and_is_described_by_the_docstring() -> None:
    described = [line.split(":")[0].strip() for line in (plugin.__doc__ or "").splitlines() if line.startswith("    ")]
    assert sorted(described) == sorted(plugin.__all__)
    assert [name for name in plugin.__all__ if getattr(plugin, name, None) is None] == []
    assert set(plugin.__all__) <= set(dir(plugin))


def test_what_a_method_needs_is_had_without_torch() -> None:
    names = (
        "BIAS_POLICIES, ConfigError, SharingMethod, SiteGroup, WeightSource, register_method, suggest, tagged_source"
    )
    code = f"import sys; from srbench.plugin import {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr

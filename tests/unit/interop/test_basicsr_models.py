"""basicsr's architectures as models: by name, registered, trained, evaluated, and with basicsr's own checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.errors import ConfigError, NameSyntaxError, SharingError, SRBenchError, UnknownNameError
from srbench.evaluation.evaluate import evaluate
from srbench.models.factory import create_model
from srbench.models.weight_files import load_into
from srbench.plugin import basicsr_backbone, open_dataset, register_backbone, run_checks
from srbench.protocols import get_protocol
from srbench.registry import canonical_name, get_metric
from srbench.registry.registries import BACKBONES
from srbench.suite.definition import load_suite
from srbench.training.recipe import make_recipe
from srbench.training.train import train

EDSR = "basicsr/EDSR(num_block=1,num_feat=8)"
SRRESNET = "basicsr/MSRResNet(num_block=1,num_feat=8)"
RRDB = "basicsr/RRDBNet(num_block=1,num_feat=8,num_grow_ch=4)"
SMALL = {"EDSR": EDSR, "MSRResNet": SRRESNET, "RRDBNet": RRDB}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(5)
    for number in range(2):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((33, 27), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", [EDSR, SRRESNET, RRDB])
def test_an_architecture_trains_and_is_evaluated_with_its_weights(name: str, images: Path, tmp_path: Path) -> None:
    recipe = make_recipe({"iterations": 1, "batch_size": 1, "gt_size": 16, "lr": 1e-3})
    result = train(name, scales=(2,), data=images, recipe=recipe, out_dir=tmp_path / "out")
    assert result.model == name
    net = create_model(name, scale=2, seed=1)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    load_into(net, result.weights)
    assert any(not torch.equal(new, old) for new, old in zip(net.parameters(), before, strict=True))
    metrics = [get_metric("psnr_y")]
    table = evaluate(net.eval(), open_dataset(str(images)), 2, get_protocol("matlab-y"), metrics).table
    assert len(table) == 2
    assert np.isfinite(table["psnr_y"]).all()


@pytest.mark.parametrize("arch", SMALL)
@pytest.mark.parametrize("key", ["params", "params_ema"])
def test_a_checkpoint_of_basicsr_loads_and_computes_the_same(arch: str, key: str, tmp_path: Path) -> None:
    """Against basicsr's own class with the file that basicsr's `save_network` writes."""
    from basicsr.archs import build_network

    from srbench.registry.names import ArchitectureName

    scale_key = "scale" if arch == "RRDBNet" else "upscale"
    args = dict(ArchitectureName.parse(SMALL[arch]).args)
    torch.manual_seed(4)
    theirs = build_network({"type": arch, "num_in_ch": 3, "num_out_ch": 3, scale_key: 4, **args}).eval()
    torch.save({key: theirs.state_dict()}, tmp_path / "net_g_5.pth")
    ours = create_model(SMALL[arch], scale=4, seed=0).eval()
    load_into(ours, tmp_path / "net_g_5.pth")
    lr = torch.rand(1, 3, 12, 10)
    with torch.no_grad():
        assert torch.equal(ours(lr), theirs(lr))


def test_sizes_that_a_network_does_not_take_are_extended_and_cropped() -> None:
    """RRDBNet at x2 folds pixels into channels: basicsr's own class fails at odd sizes."""
    net = create_model(RRDB, scale=2, seed=0).eval()
    lr = torch.rand(1, 3, 11, 9)
    with torch.no_grad():
        with pytest.raises(AssertionError):
            net.network(lr)
        sr = net(lr)
        whole = net(torch.nn.functional.pad(lr, (0, 1, 0, 1), mode="reflect"))
    assert sr.shape == (1, 3, 22, 18)
    assert torch.equal(sr, whole[..., :22, :18])


def test_one_network_has_one_name() -> None:
    assert str(canonical_name("basicsr/EDSR( num_feat=8, num_block=1 )")) == EDSR
    assert str(canonical_name("basicsr/EDSR(num_block=16,num_feat=64)")) == "basicsr/EDSR"
    assert str(canonical_name("basicsr/EDSR(res_scale=0.5)")) == "basicsr/EDSR(res_scale=1/2)"
    slug = canonical_name(EDSR).slug
    assert "/" not in slug
    assert slug != canonical_name(EDSR.replace("8", "16")).slug
    lists = "basicsr/SwinIR(depths=1x1,embed_dim=12,num_heads=2x2,upsampler=pixelshuffledirect,window_size=4)"
    net = create_model(lists, scale=2)
    assert [len(layer.residual_group.blocks) for layer in net.network.layers] == [1, 1]
    assert net(torch.rand(1, 3, 9, 10)).shape == (1, 3, 18, 20)


def test_a_suite_and_an_addition_take_such_names(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        f'name: s\nscale: 2\nmodels: ["{EDSR}", {{backbone: "basicsr/EDSR(num_feat=8)", args: {{}}}}]\n'
        "datasets: [embedded-test]\ntrain: {data: embedded-train, iterations: 1}\n"
    )
    suite = load_suite(tmp_path / "s.yaml").with_models([f"{SRRESNET}=a.pth"])
    assert [entry.model for entry in suite.models] == [EDSR, "basicsr/EDSR(num_feat=8)", SRRESNET]
    assert suite.models[-1].weights.endswith("a.pth")


def test_a_registered_architecture_passes_the_checks() -> None:
    register_backbone(basicsr_backbone("EDSR", num_feat=8, num_block=1), name="small_basicsr_edsr")
    try:
        outcome = run_checks("small_basicsr_edsr", scales=(2,))
    finally:
        BACKBONES.remove("small_basicsr_edsr")
    assert not [check for check, said in outcome.items() if said.startswith("failed")]
    assert outcome["output_shape"] == outcome["state_dict_round_trip"] == "passed"


def test_an_architecture_of_ones_own_is_a_model_once_it_is_registered_in_basicsr() -> None:
    from basicsr.utils.registry import ARCH_REGISTRY

    class Nearest(torch.nn.Module):
        def __init__(self, upscale: int, gain: float = 1.0) -> None:
            super().__init__()
            self.upscale, self.gain = upscale, gain
            self.shift = torch.zeros(1)  # a plain attribute, as in basicsr's EDSR
            self.conv = torch.nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return torch.nn.functional.interpolate(self.conv(x) * self.gain + self.shift, scale_factor=self.upscale)

    ARCH_REGISTRY.register(Nearest)
    try:
        net = create_model("basicsr/Nearest(gain=0.5)", scale=3)
        assert net(torch.rand(1, 3, 4, 5)).shape == (1, 3, 12, 15)
        assert net.network.gain == 0.5
        assert sorted(net.state_dict()) == ["conv.bias", "conv.weight"]
        assert net.to("meta").network.shift.device.type == "meta"
    finally:
        del ARCH_REGISTRY._obj_map["Nearest"]


@pytest.mark.parametrize(
    ("name", "scale", "error", "message"),
    [
        ("basicsr/EDRS", 2, UnknownNameError, "unknown basicsr architecture 'EDRS'; did you mean 'EDSR'?"),
        ("bascsr/EDSR", 2, UnknownNameError, "did you mean 'basicsr'?"),
        ("basicsr/EDSR(num_fet=8)", 2, ConfigError, "no argument 'num_fet'; did you mean 'num_feat'?"),
        ("basicsr/EDSR(upscale=2)", 2, ConfigError, "the scale of basicsr's EDSR is the model's own"),
        ("basicsr/EDSR(num_in_ch=1)", 2, ConfigError, "map RGB to RGB; leave out 'num_in_ch'"),
        ("basicsr/EDSR(num_feat=8)", 5, ConfigError, "refuses its arguments"),
        (RRDB, 3, ConfigError, "does not map RGB to RGB at scale 3"),
        ("basicsr/RIDNet", 2, ConfigError, "does not enlarge images by a scale"),
        ("basicsr/DUF(num_layer=16)", 2, ConfigError, "cannot be used at scale 2: for an RGB image it fails"),
        ("basicsr/ECBSR", 2, ConfigError, "needs num_block, num_channel, with_idt, act_type"),
        ("basicsr/EDSR(num_feat=8", 2, NameSyntaxError, "expected ',' or ')'"),
        ("basicsr/", 2, NameSyntaxError, "expected an architecture"),
        (f"{EDSR}+recursive", 2, SharingError, "declares none"),
    ],
)
def test_wrong_names_are_sentences(name: str, scale: int, error: type[SRBenchError], message: str) -> None:
    with pytest.raises(error) as caught:
        create_model(name, scale=scale)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_scales_are_refused() -> None:
    with pytest.raises(ConfigError, match="a network for one scale; got 2, 3"):
        create_model(EDSR, scales=(2, 3))

"""Counting operators: what has no rule is an error, functional layers count, and making weights is told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.cost import rules
from srbench.cost.analytic import check
from srbench.cost.counts import cost_of, work_at
from srbench.cost.operators import on_meta, run
from srbench.cost.rules import CONVOLUTION, FREE, OTHER, PRODUCT, register_rule
from srbench.errors import ConfigError, CostError
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model


class Toy(Backbone):
    """A network that computes what a function says, with one 3x3 convolution's weight at hand."""

    def __init__(self, compute: Callable[[Toy, Tensor], Tensor]) -> None:
        super().__init__((1,))
        self.compute = compute
        self.weight = nn.Parameter(torch.randn(3, 3, 3, 3))
        self.mix = nn.Parameter(torch.randn(3, 3))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return self.compute(self, lr)


def counted(compute: Callable[[Toy, Tensor], Tensor], batch: int = 1) -> dict[str, int]:
    execution = run(on_meta(Toy(compute)), 1, 5, 7, batch)
    found = {kind: execution.total(kind) for kind in (CONVOLUTION, PRODUCT, OTHER)}
    return found | {
        "synthesis": execution.total(CONVOLUTION, synthesis=True) + execution.total(PRODUCT, synthesis=True)
    }


CONV = 9 * 9 * 35  # 3 x 3 channels, 3 x 3 positions of the kernel, 5 x 7 of the image


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda net, x: F.conv2d(x, net.weight, padding=1), {CONVOLUTION: CONV}),
        (lambda net, x: F.conv2d(x, net.weight), {CONVOLUTION: 81 * 15}),
        (lambda net, x: F.conv2d(x, net.weight, stride=2, padding=1), {CONVOLUTION: 81 * 12}),
        (lambda net, x: F.conv2d(x, net.weight[:, :1], padding=1, groups=3), {CONVOLUTION: CONV // 3}),
        (lambda net, x: F.conv_transpose2d(x, net.weight, stride=2), {CONVOLUTION: CONV}),
        (lambda net, x: torch.einsum("ij,njhw->nihw", net.mix, x), {PRODUCT: 9 * 35}),
        (lambda net, x: F.linear(x.movedim(1, 3), net.mix).movedim(3, 1), {PRODUCT: 9 * 35}),
        (lambda net, x: (x.flatten(2) @ x.flatten(2).transpose(1, 2)).sum() + x, {PRODUCT: 9 * 35}),
        # Scores of 35 x 35 positions from 3 channels, and as many products with the values.
        (lambda net, x: _attended(x), {PRODUCT: 2 * 35 * 35 * 3}),
        (lambda net, x: F.relu(x) + F.pad(x, (1, 1))[..., 1:-1] * x.mean(), {}),
        (lambda net, x: F.interpolate(x, scale_factor=1.0, mode="bilinear"), {OTHER: 4 * 105}),
        (lambda net, x: x * F.adaptive_avg_pool2d(x, 1), {OTHER: 105}),
        (lambda net, x: x * x.mean((2, 3), keepdim=True), {}),
    ],
)
def test_an_operator_counts_as_its_rule_says(
    compute: Callable[[Toy, Tensor], Tensor], expected: dict[str, int]
) -> None:
    assert counted(compute) == {CONVOLUTION: 0, PRODUCT: 0, OTHER: 0, "synthesis": 0} | expected
    assert counted(compute, batch=3) == {kind: 3 * count for kind, count in counted(compute).items()}


def _attended(x: Tensor) -> Tensor:
    rows = x.flatten(2).transpose(1, 2)[:, None]
    return F.scaled_dot_product_attention(rows, rows, rows)[:, 0].transpose(1, 2).reshape(x.shape)


def test_what_sees_no_image_makes_weights_and_counts_apart_and_once_for_any_batch() -> None:
    def compute(net: Toy, x: Tensor) -> Tensor:
        kernel = (net.mix @ net.weight.flatten(1)).reshape(3, 3, 3, 3)
        return F.conv2d(x, kernel, padding=1)

    assert counted(compute) == {CONVOLUTION: CONV, PRODUCT: 0, OTHER: 0, "synthesis": 3 * 3 * 27}
    assert counted(compute, batch=4)["synthesis"] == 3 * 3 * 27


def test_a_tensor_that_the_image_is_written_into_descends_from_it() -> None:
    def compute(net: Toy, x: Tensor) -> Tensor:
        buffer = torch.zeros(x.shape)
        buffer[..., 1:] = x[..., 1:]
        return F.conv2d(buffer, net.weight, padding=1)

    assert counted(compute) == {CONVOLUTION: CONV, PRODUCT: 0, OTHER: 0, "synthesis": 0}


def test_an_operator_without_a_rule_is_an_error_that_names_it() -> None:
    with pytest.raises(CostError, match=r"'Toy' executes the operator 'aten::_fft_r2c', whose cost is unknown"):
        counted(lambda net, x: torch.fft.rfft2(x).real)


def test_a_plugin_may_say_what_its_operator_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    register_rule("aten::_fft_r2c", PRODUCT, lambda args, result: 7 * args[0].numel())
    register_rule("aten::_fft_c2r", FREE)
    assert counted(lambda net, x: torch.fft.rfft2(x).real)[PRODUCT] == 7 * 105
    with pytest.raises(ConfigError, match="'aten::mm' has a rule of kind 'product' already"):
        register_rule("aten::mm", FREE)
    with pytest.raises(ConfigError, match=r"'cheap' .* is not one of convolution, product, other, free"):
        register_rule("my::operator", "cheap")
    with pytest.raises(ConfigError, match="needs a function that counts it"):
        register_rule("my::operator", PRODUCT)


@pytest.mark.parametrize(
    "compute",
    [
        lambda net, x: torch.from_numpy(x.cpu().numpy() + 1),
        lambda net, x: x + 1 if x.sum() > 0 else x,
    ],
    ids=["numpy", "values"],
)
def test_a_network_that_needs_values_is_an_error_and_never_nothing(compute: Callable[[Toy, Tensor], Tensor]) -> None:
    with pytest.raises(
        CostError, match=r"the operators of 'Toy' cannot be counted: .* computes outside torch, or depends on values"
    ):
        counted(compute)


def test_the_bicubic_baseline_computes_in_numpy_and_says_so() -> None:
    with pytest.raises(CostError, match="the operators of 'bicubic' cannot be counted"):
        cost_of(create_model("bicubic", scale=2))


def test_counting_leaves_the_network_as_it_was() -> None:
    model = create_model("edsr_tiny+ps", scale=2, seed=0).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    cost_of(model)
    assert model.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_peak_memory_is_what_lives_at_once() -> None:
    def compute(net: Toy, x: Tensor) -> Tensor:
        a = F.conv2d(x, net.weight, padding=1)  # x, a
        b = F.relu(a)  # x, a, b
        del a
        return F.conv2d(b, net.weight, padding=1)  # x, b, result

    def in_place(net: Toy, x: Tensor) -> Tensor:
        return F.relu_(F.conv2d(x, net.weight, padding=1)).view(1, 3, 5, 7)

    size = 105 * 4
    assert run(on_meta(Toy(compute)), 1, 5, 7).peak_bytes == 3 * size
    assert run(on_meta(Toy(in_place)), 1, 5, 7).peak_bytes == 2 * size


def test_a_layer_whose_attributes_say_another_thing_than_it_does_is_an_error() -> None:
    class Odd(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(super().forward(x))

    class Net(Toy):
        def __init__(self) -> None:
            super().__init__(lambda net, x: net.odd(x))
            self.odd = Odd(3, 3, 3, padding=1)

    execution = run(on_meta(Net()), 1, 5, 7)
    with pytest.raises(CostError, match=r"the layer 'odd' executes 5,670 multiply-accumulates, .* should be 2,835"):
        check(execution)


def test_a_module_that_calls_others_is_counted_through_them_whatever_its_attributes_say() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_channels, self.out_channels, self.kernel_size, self.groups = 3, 3, "three", None
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    class Net(Toy):
        def __init__(self) -> None:
            super().__init__(lambda net, x: net.wrapper(x))
            self.wrapper = Wrapper()

    assert check(run(on_meta(Net()), 1, 5, 7)) == CONV


@pytest.mark.parametrize(("kernel", "counted"), [(3, True), ((3, 3), True), ([3, 3], True), ("three", False)])
def test_a_layer_may_say_a_square_kernel_by_one_number(kernel: object, counted: bool) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_channels, self.out_channels, self.kernel_size, self.groups = 3, 3, kernel, 1

        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return F.conv2d(x, weight, padding=1)

    class Net(Toy):
        def __init__(self) -> None:
            super().__init__(lambda net, x: net.own(x, net.weight))
            self.own = Own()

    assert check(run(on_meta(Net()), 1, 5, 7)) == (CONV if counted else 0)


def test_work_that_grows_with_the_image_is_no_making_of_weights() -> None:
    class Coordinates(Toy):
        def __init__(self) -> None:
            super().__init__(lambda net, x: net.features(x))
            self.linear, self.conv = nn.Linear(2, 3), nn.Conv2d(3, 4, 1)

        def features(self, x: Tensor) -> Tensor:
            rows, columns = (torch.linspace(0, 1, size) for size in x.shape[2:])
            grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
            placed = self.linear(grid).permute(2, 0, 1)[None]
            kernel = (self.mix @ self.weight.flatten(1)).reshape(3, 3, 3, 3)
            return F.conv2d(x, kernel, padding=1) + placed + self.conv(placed).mean(1, keepdim=True)

    cost = cost_of(Coordinates())
    for work, pixels in ((cost.hd, 1280 * 720), (cost.ntire, 256 * 256)):
        assert (work.convolution, work.product, work.synthesis) == ((81 + 12) * pixels, 6 * pixels, 3 * 3 * 27)
        assert work.activations == (3 + 4) * pixels


@pytest.mark.parametrize(("width", "thirds"), [(6, 0), (7, 3), (8, 6)])
def test_a_fractional_size_lies_on_the_line_between_its_neighbours(width: int, thirds: int) -> None:
    from fractions import Fraction

    shapes = on_meta(create_model("edsr_tiny", scale=3, seed=0))
    low, high = (work_at(shapes, 3, 5, w).macs for w in (6, 8))
    assert work_at(shapes, 3, 5, width).macs * 6 == low * (6 - thirds) + high * thirds
    between = work_at(shapes, 3, 5, Fraction(20, 3))
    assert between.convolution == Fraction(low) + Fraction(high - low, 3)
    assert between.width == Fraction(20, 3)

"""What feeds what: channels followed through residual connections, slices, concatenations and attention."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.models.feeds import Feed, trace_feeds


class Net(Backbone):
    """Three convolutions of 4 channels between an entry and an exit; how they are connected is a subclass's."""

    def __init__(self, groups: int = 1) -> None:
        super().__init__((1,))
        self.entry = nn.Conv2d(3, 4, 1)
        self.a = nn.Conv2d(4, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=groups)
        self.c = nn.Conv2d(4, 4, 3, padding=1)
        self.exit = nn.Conv2d(4, 3, 1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.PReLU()
        self.slopes = nn.PReLU(4)
        self.gain = nn.Parameter(torch.ones(1, 4, 1, 1))

    def forward(self, x: Tensor, scale: int | None = None) -> Tensor:
        return self.exit(self.body(self.entry(x)))  # type: ignore[no-any-return]

    def body(self, x: Tensor) -> Tensor:
        return self.c(self.between(self.b(self.a(x))))  # type: ignore[no-any-return]

    def between(self, x: Tensor) -> Tensor:
        return x


def traced(net: Backbone, *paths: str) -> dict[str, Feed]:
    return trace_feeds(net, paths or ("a", "b", "c"))


def test_a_plain_chain() -> None:
    feeds = traced(Net())
    assert feeds["a"].outputs == feeds["b"].inputs
    assert feeds["b"].outputs == feeds["c"].inputs
    assert len({*feeds["a"].inputs, *feeds["a"].outputs, *feeds["b"].outputs, *feeds["c"].outputs}) == 16
    assert [feeds[path].outputs_shrink for path in "abc"] == [True, True, False], "the exit reads what c makes"
    assert [feeds[path].inputs_shrink for path in "abc"] == [False, True, True], "the entry makes what a reads"


def test_channels_count_from_0_without_gaps() -> None:
    feeds = traced(Net())
    assert {number for feed in feeds.values() for number in (*feed.inputs, *feed.outputs)} == set(range(16))


PASSING = {
    "relu": lambda net, x: F.relu(x),
    "relu_": lambda net, x: F.relu(x, inplace=True),
    "leaky_relu": lambda net, x: F.leaky_relu(x, 0.1),
    "prelu": lambda net, x: net.act(x),
    "gelu": lambda net, x: F.gelu(x),
    "silu": lambda net, x: F.silu(x),
    "scaled": lambda net, x: 0.1 * x + 1,
    "spatial mask": lambda net, x: x * x.new_ones(1, 1, *x.shape[2:]),
    "itself times itself": lambda net, x: x * torch.sigmoid(x),
    "interpolated": lambda net, x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear"),
    "padded": lambda net, x: F.pad(x, (1, 1, 1, 1))[:, :, 1:-1, 1:-1],
    "its mean": lambda net, x: x - x.mean((2, 3), keepdim=True),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_keeps_channels_apart_is_passed_through(name: str) -> None:
    class Through(Net):
        def between(self, x: Tensor) -> Tensor:
            return PASSING[name](self, x)  # type: ignore[no-any-return]

    feeds = traced(Through())
    assert feeds["b"].outputs == feeds["c"].inputs
    assert feeds["b"].outputs_shrink
    assert feeds["c"].inputs_shrink


PER_CHANNEL = {
    "batch normalisation": lambda net, x: net.norm(x),
    "a slope for each channel": lambda net, x: net.slopes(x),
    "a gain for each channel": lambda net, x: x * net.gain,
    "a constant for each channel": lambda net, x: x + net.a.weight.new_zeros(1, 4, 1, 1),
}


@pytest.mark.parametrize("name", PER_CHANNEL)
def test_what_has_numbers_for_each_channel_is_followed_and_keeps_them_all(name: str) -> None:
    class Through(Net):
        def between(self, x: Tensor) -> Tensor:
            return PER_CHANNEL[name](self, x)  # type: ignore[no-any-return]

    feeds = traced(Through())
    assert feeds["b"].outputs == feeds["c"].inputs
    assert not feeds["b"].outputs_shrink
    assert not feeds["c"].inputs_shrink
    assert feeds["a"].outputs_shrink, "the layers before have nothing to do with it"


UNKNOWN = {
    "shuffled": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
    "turned over": lambda x: x.flip(1),
    "as tokens": lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).unflatten(2, x.shape[2:]),
    "mean over channels": lambda x: x.mean(1, keepdim=True).repeat(1, 4, 1, 1),
    "padded with channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 1))[:, 1:-1],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_followed_ends_at_new_channels(name: str) -> None:
    class Through(Net):
        def between(self, x: Tensor) -> Tensor:
            return UNKNOWN[name](x)

    feeds = traced(Through())
    assert not set(feeds["b"].outputs) & set(feeds["c"].inputs)
    assert not feeds["b"].outputs_shrink
    assert not feeds["c"].inputs_shrink


def test_a_residual_connection_puts_channels_together() -> None:
    class Residual(Net):
        def body(self, x: Tensor) -> Tensor:
            x = x + self.b(self.a(x))
            return x + self.c(x)  # type: ignore[no-any-return]

    feeds = traced(Residual())
    assert feeds["a"].inputs == feeds["b"].outputs == feeds["c"].inputs == feeds["c"].outputs
    assert not feeds["b"].outputs_shrink, "the entry's channels are added"
    assert feeds["a"].outputs == feeds["b"].inputs
    assert feeds["a"].outputs_shrink


def test_slices_and_concatenations_are_followed_channel_by_channel() -> None:
    class Distilled(Net):
        def body(self, x: Tensor) -> Tensor:
            kept, rest = self.a(x).split([1, 3], dim=1)
            return self.c(torch.cat([self.b(x)[:, 2:], rest[:, 1:], kept], 1)[:, :4])  # type: ignore[no-any-return]

    feeds = traced(Distilled())
    made = feeds["a"].outputs
    assert feeds["c"].inputs == (*feeds["b"].outputs[2:], *made[2:])
    assert not feeds["a"].outputs_shrink, "where it is cut does not depend on how many channels are left"


def test_a_concatenation_alone_can_shrink() -> None:
    class Wide(Net):
        def __init__(self) -> None:
            super().__init__()
            self.c = nn.Conv2d(8, 4, 1)

        def body(self, x: Tensor) -> Tensor:
            return self.c(torch.cat([self.a(x), self.b(x)], 1).relu())  # type: ignore[no-any-return]

    feeds = traced(Wide())
    assert feeds["c"].inputs == feeds["a"].outputs + feeds["b"].outputs
    assert feeds["c"].inputs_shrink
    assert feeds["a"].outputs_shrink


def test_a_layer_that_something_else_reads_too_cannot_shrink() -> None:
    class Watched(Net):
        def body(self, x: Tensor) -> Tensor:
            made = self.a(x)
            return self.c(self.b(made)) + self.exit(made).mean(1, keepdim=True)  # type: ignore[no-any-return]

    feeds = traced(Watched())
    assert feeds["a"].outputs == feeds["b"].inputs
    assert not feeds["a"].outputs_shrink
    assert not feeds["b"].inputs_shrink
    assert feeds["b"].outputs_shrink


def test_a_layer_that_is_returned_cannot_shrink() -> None:
    class Returned(Net):
        def forward(self, x: Tensor, scale: int | None = None) -> Tensor:
            made = self.a(self.entry(x))
            return [self.exit(self.b(made)), made]  # type: ignore[return-value]

    feeds = traced(Returned(), "a", "b")
    assert not feeds["a"].outputs_shrink


def test_groups_cannot_shrink() -> None:
    feeds = traced(Net(groups=2))
    assert feeds["a"].outputs == feeds["b"].inputs
    assert [feeds[path].outputs_shrink for path in "abc"] == [False, False, False]


def test_a_layer_that_runs_twice_reads_both_inputs() -> None:
    class Recurrent(Net):
        def body(self, x: Tensor) -> Tensor:
            return self.b(self.a(self.b(self.a(x))))  # type: ignore[no-any-return]

    feeds = traced(Recurrent())
    assert set(feeds) == {"a", "b"}, "c does not run"
    assert feeds["a"].inputs == feeds["b"].outputs
    assert not feeds["a"].inputs_shrink, "the first time it reads what the entry makes"
    assert feeds["a"].outputs_shrink


def test_scales_are_taken_together() -> None:
    class Scaled(Net):
        def __init__(self) -> None:
            super().__init__()
            self.scales = (1, 2)

        def forward(self, x: Tensor, scale: int | None = None) -> Tensor:
            made = self.a(self.entry(x))
            return self.exit(self.b(made) if scale == 1 else self.c(made))  # type: ignore[no-any-return]

    feeds = traced(Scaled())
    assert feeds["a"].outputs == feeds["b"].inputs == feeds["c"].inputs


@pytest.mark.parametrize("name", ["edsr_tiny", "imdn_tiny", "srresnet_tiny"])
def test_the_network_is_left_as_it_was(name: str) -> None:
    model = create_model(name, scale=2, seed=0).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    rng = torch.get_rng_state()
    trace_feeds(model, [site.path for site in model.sharing_sites() if site.kind == "conv"])
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert torch.equal(rng, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_edsr_s_blocks() -> None:
    """In a residual block the inner channels are its own, and the outer ones are those of all blocks."""
    model = create_model("edsr_tiny", scale=2, seed=0)
    feeds = trace_feeds(model, [site.path for site in model.sharing_sites()])
    stream = feeds["body.0.conv1"].inputs
    for block in range(4):
        first, second = feeds[f"body.{block}.conv1"], feeds[f"body.{block}.conv2"]
        assert first.inputs == second.outputs == stream
        assert first.outputs == second.inputs
        assert first.outputs_shrink
        assert second.inputs_shrink
        assert not second.outputs_shrink

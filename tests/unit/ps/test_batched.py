"""The kernels of a bank made in one product are those that the layers make, and so are all gradients."""

from __future__ import annotations

import pytest
import torch

from srbench.models.factory import create_model

NAMES = [
    ("edsr_tiny+ps(ratio=1/4)", (2,)),
    ("edsr_tiny+ps(ratio=1/4,shape=16x1x3x3)", (2,)),
    ("edsr_tiny+ps(ratio=1/4,shape=8x4x1x3)", (2,)),
    ("drrn_b1u9+ps(ratio=1/9)", (2, 3, 4)),
    ("carn_m+ps(ratio=1/4,shape=16x16x1x1)", (2,)),
    ("srfbn_s+ps(ratio=3/16,shape=Cx1xKxK)", (2,)),  # transposed convolutions
]


def _gradients(name: str, scales: tuple[int, ...], layout: torch.memory_format, *, at_once: bool):
    torch.manual_seed(0)
    net = create_model(name, scales=scales, seed=0).double().train()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # the authors' start has equal coefficients everywhere
    scale = scales[-1]
    lr = torch.rand(1, 3, 8, 9, dtype=torch.float64)
    if at_once:
        net.select_scale(scale)
        with net.method.kernels_at_once(net, scale, torch.float64, layout):
            sr = net.image(net(lr, scale))
            sr.square().sum().backward()
        assert all(getattr(module, "ready_kernel", None) is None for module in net.modules())
    else:
        sr = net.image(net(lr, scale))
        sr.square().sum().backward()
    return sr.detach(), {key: parameter.grad for key, parameter in net.named_parameters()}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("name", "scales"), NAMES)
def test_outputs_and_gradients_are_those_of_layers_that_make_their_own(name: str, scales, layout) -> None:
    image, wanted = _gradients(name, scales, layout, at_once=False)
    other, found = _gradients(name, scales, layout, at_once=True)
    torch.testing.assert_close(other, image, rtol=1e-10, atol=1e-12)
    assert {key for key, grad in found.items() if grad is None} == {key for key, grad in wanted.items() if grad is None}
    for key, grad in wanted.items():
        if grad is not None:
            torch.testing.assert_close(found[key], grad, rtol=1e-9, atol=1e-9, msg=key)

"""Sparse masks on a GPU: the same interface, the same result. Run by `tox run -e gpu`."""

from __future__ import annotations

import pytest
import torch

from srbench.models.factory import create_model
from srbench_sparse_mask.surgery import with_path

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize(
    "name", ["smsr", "smsr_tiny+sparse_mask(channel=dynamic)", "smsr_tiny+sparse_mask(n_layers=2)", "imdn+sparse_mask"]
)
@pytest.mark.parametrize("size", [(1, 1), (33, 48), (64, 65)])
def test_the_paths_agree_on_cuda_and_with_the_cpu(name: str, size: tuple[int, int]) -> None:
    # In float64, so that rounding decides no mask.
    model = create_model(name, scale=2, seed=0).eval().double()
    lr = torch.rand(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = model(lr)
        for path in ("masked_dense", "sparse"):
            found = with_path(model, path).cuda()(lr.cuda()).cpu()
            assert torch.allclose(found, wanted, atol=1e-8), path

"""The networks of basicsr that backbones are made of."""

from __future__ import annotations

from srbench.engine.compat import load_basicsr

load_basicsr()

from basicsr.archs.edsr_arch import EDSR  # noqa: E402
from basicsr.archs.rcan_arch import RCAN  # noqa: E402
from basicsr.archs.srresnet_arch import MSRResNet  # noqa: E402

__all__ = ["EDSR", "RCAN", "MSRResNet"]

"""The networks of basicsr that backbones use."""

from __future__ import annotations

from srbench.compat.basicsr import load_basicsr

load_basicsr()

from basicsr.archs.ecbsr_arch import ECB  # noqa: E402
from basicsr.archs.edsr_arch import EDSR  # noqa: E402
from basicsr.archs.rcan_arch import RCAN  # noqa: E402
from basicsr.archs.srresnet_arch import MSRResNet  # noqa: E402
from basicsr.archs.srvgg_arch import SRVGGNetCompact  # noqa: E402
from basicsr.archs.swinir_arch import SwinIR  # noqa: E402

__all__ = ["ECB", "EDSR", "RCAN", "MSRResNet", "SRVGGNetCompact", "SwinIR"]

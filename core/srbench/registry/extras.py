"""Names contributed by the extras of sr-bench, to suggest the extra if a name's plugin is not installed."""

from __future__ import annotations

__all__ = ["EXTRAS", "extra_for"]

# Names that the extras of this distribution contribute, so that the error for such a name says what to install. A test
# compares the table with the plugins' entry points.
EXTRAS: dict[str, dict[str, tuple[str, ...]]] = {
    "ps": {
        "methods": ("basis", "dsconv", "ps"),
        "backbones": ("carn", "carn_m", "drrn_b1u25", "drrn_b1u9", "rcan_g5b10", "srfbn_s"),
        "commands": ("compress", "swap"),
        "figures": ("coefficients", "filters", "size-quality", "wrong-scale"),
    },
    "pruning": {"methods": ("dhp",)},
    "sparse-mask": {
        "commands": ("sparsity",),
        "methods": ("sparse_mask",),
        "backbones": ("msrresnet", "smsr", "smsr_tiny", "srresnet", "srresnet_bn", "srresnet_tiny"),
        "figures": ("feature-sparsity", "features", "masks", "module-sparsity"),
        "paths": ("masked_dense", "sparse"),
    },
    "tied-tconv": {
        "methods": ("tied_tconv",),
        "backbones": (
            "lapsrn",
            "ms_lapsrn_r2",
            "ms_lapsrn_r5",
            "ms_lapsrn_r8",
            "ms_lapsrn_r8_ds",
            "ms_lapsrn_r8_ns",
            "ms_lapsrn_tiny",
        ),
    },
    "zoo": {
        "methods": ("reparam",),
        "backbones": (
            "ecbsr_et_m6c40",
            "ecbsr_m4c16",
            "ecbsr_m4c32",
            "ecbsr_m6c40",
            "etds_l",
            "etds_m",
            "etds_s",
            "etds_t",
            "lkdn",
            "lkdn_s",
            "smfanet",
            "smfanet_plus",
            "bsrn",
            "drcn",
            "ecbsr",
            "fsrcnn",
            "imdn",
            "imdn_tiny",
            "mdsr",
            "pan",
            "rlfn",
            "srvgg",
            "swinir_light",
            "vdsr",
            "dipnet",
            "efdn",
            "espan",
            "fmen",
            "lmlt_tiny",
            "plainusr",
            "plainusr_l",
            "plainusr_m",
            "plainusr_s",
            "plainusr_t",
            "plainusr_u",
            "rfdn_aim",
            "safmn_ntire23",
            "safmnpp",
            "span",
            "span_c28",
            "spanf",
        ),
    },
}


def extra_for(kind: str, name: str) -> str | None:
    """Return the extra of sr-bench that would contribute the name, or None."""
    return next((extra for extra, kinds in EXTRAS.items() if name in kinds.get(kind, ())), None)

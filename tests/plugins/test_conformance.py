"""Every model that the project ships passes the conformance kit, on examples that Hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from srbench.testing import parametrize_with_checks

MODELS = [
    ("bicubic", (2,)),
    ("edsr_tiny", (2,)),
    ("edsr_tiny", (3,)),
    ("edsr_tiny+dense", (4,)),
    ("edsr_tiny+recursive", (2,)),
    ("edsr_tiny+ps(ratio=1/4)", (2,)),
    ("edsr_tiny+ps(ratio=1/16,shape=16x1x3x3)", (4,)),
    ("edsr_tiny+ps(num_filters=5,shape=8x4x3x1,bias=tied,init=svd)", (3,)),
    ("edsr_tiny+dsconv", (2,)),
    ("edsr_tiny+dsconv(blocks=2)", (3,)),
    ("edsr_tiny+basis(num_basis=4)", (2,)),
    ("edsr_tiny+basis(num_basis=6,splits=4,init=svd)", (4,)),
    ("srresnet_tiny", (4,)),
    ("srresnet_tiny+recursive", (2,)),
    ("srresnet_tiny+basis(num_basis=4)", (3,)),
    ("srresnet_tiny+sparse_mask", (2,)),
    ("srresnet_tiny+sparse_mask(channel=dynamic,n_layers=2)", (4,)),
    ("imdn_tiny", (2,)),
    ("smsr_tiny", (2,)),
    ("smsr_tiny+sparse_mask(channel=dynamic)", (3,)),
    ("smsr_tiny+sparse_mask(channel=none,n_layers=2)", (4,)),
    ("smsr_tiny+ps(ratio=1/4)", (2,)),
    ("etds_t", (3,)),
    ("etds_t+reparam(kind=etds)", (2,)),
    ("ecbsr_m4c16", (4,)),
    ("ecbsr_m4c16+reparam(kind=ecb)", (3,)),
    ("edsr_tiny+reparam(kind=rep1x1)", (2,)),
    ("edsr_tiny+reparam(kind=repmbconv)", (2,)),
    ("edsr_tiny+reparam(kind=span)", (4,)),
    ("edsr_tiny+dhp", (2,)),
    ("imdn_tiny+dhp(embedding=2)", (3,)),
]


@parametrize_with_checks(MODELS)
def test_small_models(model: tuple[str, tuple[int, ...]], check: Callable[..., None]) -> None:
    # Few examples: tests/properties/test_every_backbone.py draws the networks and methods too.
    check(model, max_examples=2)


@parametrize_with_checks(
    [
        ("carn_m+ps", (2, 4)),
        ("lapsrn+tied_tconv(conv=2)", (2,)),
        ("ms_lapsrn_r2", (2, 4)),
        ("ms_lapsrn_r8_ns", (2,)),
        ("ms_lapsrn_tiny+dense", (4,)),
        ("ms_lapsrn_tiny+tied_tconv", (2, 4, 8)),
        ("ms_lapsrn_tiny+tied_tconv(conv=mix)", (2, 4)),
        ("ms_lapsrn_tiny+ps(num_filters=20)", (2, 4)),
        ("srfbn_s+tied_tconv(conv=1)", (2,)),
        ("srresnet+ps(ratio=1/16)", (4,)),
        ("srresnet_bn+basis(num_basis=20)", (4,)),
        ("msrresnet", (3,)),
        ("fsrcnn+ps", (4,)),
        ("span_c28+ps(ratio=1/4)", (4,)),
        ("plainusr_t+recursive", (4,)),
        ("safmnpp+basis(num_basis=8)", (4,)),
        ("lkdn_s+reparam(kind=rep1x1)", (4,)),
        ("etds_m+reparam(kind=etds)", (3,)),
        ("ecbsr_et_m6c40", (4,)),
    ]
)
def test_published_models(model: tuple[str, tuple[int, ...]], check: Callable[..., None]) -> None:
    check(model, max_examples=1)


# The rest: tests/properties/test_every_backbone.py draws small instances of nearly all of these backbones, and other
# models of the others (SMSR, SRResNet) are checked above.
@pytest.mark.slow
@parametrize_with_checks(
    [
        ("smsr_tiny+sparse_mask(n_layers=12,spatial=learned)", (2,)),
        ("smsr_tiny+sparse_mask(spatial=gradient)", (2,)),
        ("smsr", (3,)),
        ("imdn+sparse_mask", (2,)),
        ("drrn_b1u9+ps(ratio=1/9)", (2, 3, 4)),
        ("carn+ps(ratio=8/9)", (2, 3, 4)),
        ("srfbn_s+ps(ratio=3/16,shape=Cx1xKxK)", (2,)),
        ("edsr_baseline+ps(ratio=1/16)", (2,)),
        ("imdn+ps(ratio=1/9)", (4,)),
        ("bsrn+ps", (4,)),
        ("pan+recursive", (4,)),
        ("rlfn+ps", (4,)),
        ("ecbsr", (3,)),
        ("srvgg+ps", (4,)),
        ("swinir_light", (2,)),
        ("vdsr+ps", (3,)),
        ("drrn_b1u25", (2,)),
        ("span", (3,)),
        ("spanf", (4,)),
        ("espan", (2,)),
        ("plainusr_u", (2,)),
        ("plainusr_l", (2,)),
        ("efdn+recursive", (2,)),
        ("rfdn_aim", (4,)),
        ("fmen", (4,)),
        ("dipnet", (4,)),
        ("safmn_ntire23", (4,)),
        ("lmlt_tiny", (4,)),
        ("smfanet+ps", (4,)),
        ("smfanet_plus", (3,)),
        ("lkdn+recursive", (2,)),
        ("etds_s", (2,)),
        ("etds_l+ps", (4,)),
        ("ecbsr_m4c32+reparam(kind=ecb)", (2,)),
        ("ecbsr_m6c40+recursive", (4,)),
        ("carn_m+dhp(embedding=1)", (2, 4)),
        ("rcan_g5b10+ps(ratio=1/16)", (4,)),
        ("drrn_b1u9", (2, 3, 4)),
        ("drrn_b1u9+dense", (2, 4)),
        ("drrn_b1u9+recursive", (2,)),
        ("drrn_b1u9+dsconv(blocks=4)", (2, 3, 4)),
        ("drrn_b1u9+basis(num_basis=24)", (2, 3, 4)),
        ("carn", (2, 3, 4)),
        ("carn_m", (2, 3, 4)),
        ("carn_m+dense", (3,)),
        ("rcan_g5b10+recursive", (2,)),
        ("srfbn_s", (3,)),
        ("srfbn_s+dense", (2,)),
        ("lapsrn", (4,)),
        ("ms_lapsrn_r8_ds", (2,)),
        ("srresnet", (2,)),
        ("imdn", (3,)),
        ("imdn+recursive", (2,)),
        ("imdn+basis(num_basis=8)", (4,)),
        ("bsrn", (2,)),
        ("pan", (3,)),
        ("rlfn", (2,)),
        ("fsrcnn", (2,)),
        ("fsrcnn+recursive", (3,)),
        ("srvgg", (2,)),
        ("vdsr", (2, 4)),
        ("plainusr_s", (3,)),
        ("plainusr_m", (2,)),
        ("plainusr", (4,)),
        ("efdn", (4,)),
        ("smfanet", (2,)),
        ("lkdn", (3,)),
        ("carn+reparam(kind=rep1x1)", (2, 3, 4)),
        ("drrn_b1u9+reparam(kind=ecb)", (2, 3)),
    ]
)
def test_more_published_models(model: tuple[str, tuple[int, ...]], check: Callable[..., None]) -> None:
    check(model, max_examples=1)

"""The cost of each torch operator. An operator without a rule is an error, so no cost is silently omitted.

A rule is a kind of work and a function of an operator's arguments and result. Operators are those that reach torch's
dispatcher: `F.conv2d`, `nn.Conv2d` and `F.linear` are decomposed by then, and views, activations and sums are operators
like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from srbench.errors import ConfigError

__all__ = ["CONVOLUTION", "FREE", "OTHER", "PRODUCT", "Rule", "register_rule", "rule_for"]

CONVOLUTION = "convolution"
PRODUCT = "product"
# Per-element work, by fvcore's estimates; no multiply-accumulates with weights, so not part of the MACs.
OTHER = "other"
FREE = "free"
_KINDS = (CONVOLUTION, PRODUCT, OTHER, FREE)

Count = Callable[[tuple[Any, ...], Any], int]
Rule = tuple[str, Count]


def _convolution(args: tuple[Any, ...], result: Any) -> int:
    # Each weight is applied at each position of the output, or of the input for a transposed convolution; the shape of
    # the weight already accounts for groups.
    image, weight, transposed = args[0], args[1], args[6]
    positions = image.shape if transposed else result.shape
    return int(image.shape[0] * weight.numel() * prod(positions[2:]))


def _product(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * args[1].shape[-1])


def _product_and_sum(args: tuple[Any, ...], result: Any) -> int:
    return _product(args[1:], result)


def _attention(args: tuple[Any, ...], result: Any) -> int:
    query, key, value = args[:3]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return int(scores * (query.shape[-1] + value.shape[-1]))


def _per_input(times: int) -> Count:
    return lambda args, result: int(times * args[0].numel())


def _per_output(times: int) -> Count:
    return lambda args, result: int(times * result.numel())


def _layer_normalisation(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * (4 if args[2] is None else 5))


def _group_normalisation(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * (4 if args[1] is None else 5))


def _batch_normalisation(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * (1 if args[1] is None else 2))


def _batch_normalisation_of(training: int) -> Count:
    def count(args: tuple[Any, ...], result: Any) -> int:
        if args[training]:
            return int(args[0].numel() * (4 if args[1] is None else 5))
        return _batch_normalisation(args, result)

    return count


def _nothing(args: tuple[Any, ...], result: Any) -> int:
    return 0


_RULES: dict[str, Rule] = {
    "aten::convolution": (CONVOLUTION, _convolution),
    "aten::mm": (PRODUCT, _product),
    "aten::bmm": (PRODUCT, _product),
    "aten::mv": (PRODUCT, lambda args, result: int(args[0].numel())),
    "aten::dot": (PRODUCT, lambda args, result: int(args[0].numel())),
    "aten::addmm": (PRODUCT, _product_and_sum),
    "aten::addmv": (PRODUCT, lambda args, result: int(args[1].numel())),
    "aten::baddbmm": (PRODUCT, _product_and_sum),
    "aten::addbmm": (PRODUCT, _product_and_sum),
    "aten::_scaled_dot_product_flash_attention_for_cpu": (PRODUCT, _attention),
    "aten::_scaled_dot_product_flash_attention": (PRODUCT, _attention),
    "aten::_scaled_dot_product_efficient_attention": (PRODUCT, _attention),
    "aten::_scaled_dot_product_fused_attention_overrideable": (PRODUCT, _attention),
    "aten::native_layer_norm": (OTHER, _layer_normalisation),
    "aten::native_group_norm": (OTHER, _group_normalisation),
    "aten::_native_batch_norm_legit_no_training": (OTHER, _batch_normalisation),
    "aten::native_batch_norm": (OTHER, _batch_normalisation_of(5)),
    "aten::_native_batch_norm_legit": (OTHER, _batch_normalisation_of(5)),
    "aten::upsample_nearest2d": (OTHER, _per_output(1)),
    "aten::upsample_bilinear2d": (OTHER, _per_output(4)),
    "aten::_adaptive_avg_pool2d": (OTHER, _per_input(1)),
    "aten::grid_sampler_2d": (OTHER, _per_output(4)),
}

# Operators without multiply-accumulates by the convention of both papers and fvcore.
_FREE = """
    _adaptive_avg_pool3d _local_scalar_dense _log_softmax _prelu_kernel _reshape_alias _safe_softmax _softmax
    _to_copy _unsafe_index _unsafe_index_put _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_nearest_exact2d _weight_norm_interface abs abs_ acos acosh adaptive_max_pool2d add add_ addcdiv
    addcmul alias amax amin aminmax any arange argmax argmin as_strided asin asinh atan atan2 atanh avg_pool2d
    avg_pool3d bernoulli bitwise_and bitwise_not bitwise_not_ bitwise_or bitwise_xor bucketize cat ceil celu
    channel_shuffle chunk clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clone col2im conj constant_pad_nd
    copy copy_ cos cosh count_nonzero cummax cumprod cumsum detach detach_ diag diag_embed diagonal div div_ elu
    elu_ empty empty_like empty_permuted empty_strided eq eq_ erf erfc exp exp2 exp_ expand expand_as expm1
    exponential_ eye fill fill_ flip floor floor_ floor_divide fmod frac frexp full full_like gather ge ge_ gelu
    gelu_ glu gt gt_ hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ heaviside hstack
    hypot im2col imag index index_add index_copy index_fill index_put index_put_ index_select isfinite isin isinf
    isnan le le_ leaky_relu leaky_relu_ lerp lift_fresh lift_fresh_copy linalg_vector_norm linspace log log10 log1p
    log2 log_ log_sigmoid_forward logaddexp logical_and logical_and_ logical_not logical_not_ logical_or
    logical_or_ logical_xor logsumexp lt lt_ masked_fill masked_fill_ masked_scatter max max_pool2d_with_indices
    max_pool3d_with_indices maximum mean median meshgrid min minimum mish mul mul_ nan_to_num nanmedian narrow
    native_channel_shuffle native_dropout ne ne_ neg neg_ new_empty new_empty_strided new_full new_ones new_zeros
    norm normal_ ones ones_like permute pixel_shuffle pixel_unshuffle pow pow_ prod rand rand_like randn randn_like
    real reciprocal reciprocal_ reflection_pad1d reflection_pad2d reflection_pad3d relu relu_ remainder renorm
    repeat replication_pad1d replication_pad2d replication_pad3d reshape resize_ roll rot90 round round_
    rrelu_with_noise rsqrt rsqrt_ rsub scalar_tensor scatter scatter_ scatter_add scatter_reduce searchsorted
    select select_scatter selu sgn sigmoid sigmoid_ sign silu silu_ sin sinh slice slice_scatter softplus
    softshrink sort split split_with_sizes sqrt sqrt_ square squeeze squeeze_ stack std std_mean sub sub_ sum t
    take take_along_dim tan tanh tanh_ threshold threshold_ tile topk transpose tril tril_ tril_indices triu triu_
    triu_indices trunc trunc_ unbind unfold uniform_ unsafe_split unsafe_split_with_sizes unsqueeze unsqueeze_
    unsqueeze_copy upsample_bicubic2d upsample_linear1d upsample_nearest1d var var_mean view view_as
    view_as_complex view_as_real vstack where xlogy zero_ zeros zeros_like
"""
_RULES |= {f"aten::{name}": (FREE, _nothing) for name in _FREE.split()}


def rule_for(operator: str) -> Rule | None:
    """Return an operator's rule, or None; the name has no overload: `aten::convolution`."""
    return _RULES.get(operator)


def register_rule(operator: str, kind: str, count: Count | None = None) -> None:
    """Register the cost of an operator, for plugins whose networks use one without a rule.

    Args:
        operator: Its name without overload, as in the error message: `torchvision::deform_conv2d`.
        kind: `convolution` or `product` (both are part of the MACs), `other` or `free`.
        count: Computes the multiply-accumulates of the whole batch from the positional arguments and the result.

    Raises:
        ConfigError: The kind is unknown, the kind needs a function, or the operator already has another rule.
    """
    if kind not in _KINDS:
        raise ConfigError(f"kind '{kind}' of the operator '{operator}' is not one of {', '.join(_KINDS)}")
    if count is None and kind != FREE:
        raise ConfigError(f"the operator '{operator}' of kind '{kind}' needs a function that counts it")
    rule = (kind, count or _nothing)
    if _RULES.setdefault(operator, rule) != rule:
        raise ConfigError(f"the operator '{operator}' has a rule of kind '{_RULES[operator][0]}' already")

"""Published weights of SMFANet and SMFANet+, trained on DIV2K or on DF2K. Needs no torch."""

from __future__ import annotations

from srbench.plugin import PerScaleWeights
from srbench_zoo.weight_files import Rules, weight_files

__all__ = [
    "smfanet_author_df2k",
    "smfanet_author_div2k",
    "smfanet_plus_author_df2k",
    "smfanet_plus_author_div2k",
]

_RULES: Rules = (
    (r"^to_feat\.", "entry."),
    (r"^feats\.", "body."),
    (r"^to_img\.", "upsample."),
    (r"\.smfa\.linear_0\.", ".modulation.split."),
    (r"\.smfa\.linear_1\.", ".modulation.weigh."),
    (r"\.smfa\.linear_2\.", ".modulation.merge."),
    (r"\.smfa\.lde\.conv_0\.0\.", ".modulation.local.depthwise."),
    (r"\.smfa\.lde\.conv_0\.1\.", ".modulation.local.pointwise."),
    (r"\.smfa\.lde\.conv_1\.", ".modulation.local.reduce."),
    (r"\.smfa\.dw_conv\.", ".modulation.context."),
    (r"\.smfa\.alpha$", ".modulation.context_scale"),
    (r"\.smfa\.belt$", ".modulation.variance_scale"),
    (r"\.pcfn\.conv_0\.", ".feed_forward.expand."),
    (r"\.pcfn\.conv_1\.", ".feed_forward.partial."),
    (r"\.pcfn\.conv_2\.", ".feed_forward.reduce."),
)


def _smfanet(model: str, data: str, *sizes_and_hashes: tuple[int, str]) -> PerScaleWeights:
    """Describe the files for x2, x3 and x4 of a network trained on one of the data sets."""
    plus = "_plus" if "plus" in model else ""
    return weight_files(
        model=f"{model}.author_{data.lower()}",
        repository="Zheng-MJ/SMFANet",
        commit="a05e0bb554bbbb80cd27d8fd2b78d4228c657170",
        path=f"pretrain/SMFANet{plus}_{data}_100w_x{{}}SR.pth",
        licence="Apache-2.0",
        paper="Zheng et al., SMFANet, ECCV 2024",
        rules=_RULES,
        files=tuple((scale, *found) for scale, found in zip((2, 3, 4), sizes_and_hashes, strict=True)),
        key="params",
    )


smfanet_author_df2k = _smfanet(
    "smfanet",
    "DF2K",
    (803351, "daea7fc72a6e4aff80163768209ea5e56fd9705db9e6323f31822f24cd03902e"),
    (822807, "ae9953d36b4afb25211a23b02499dc029dfe64a2549c3426b29aaca14f17baa1"),
    (850199, "3141324e9ef6ebdd2338566b30ad034a3bf0c3c34e8030d4086ce4330c319402"),
)

# The tests have no file for x2 and x3: size and hash are as published.
smfanet_author_div2k = _smfanet(
    "smfanet",
    "DIV2K",
    (803533, "83774654204e5a684074ae07c79a3fe31a4d61a714b68290ec3893c8442e6e81"),
    (822989, "948ed822482aa0496e427ae7a20e409d7d57415c977741a90d095f3dfcab511d"),
    (850381, "1b6aca8369cfd1f0df326e7f685073728420d1c9ec8921feb113d402b80180c8"),
)

# The tests have no file for x3: size and hash are as published.
smfanet_plus_author_df2k = _smfanet(
    "smfanet_plus",
    "DF2K",
    (2016933, "a52ba55ccec8f08cc2c354fdccfe0f7647ea70cc5a47a096b70269370a4f5c5c"),
    (2042853, "509c2af8855e9424d5676956ff5f5911c4e6439c53064e7a4cdbe062ddf2a8d4"),
    (2079269, "28a807e1ee1f46a990458efd813654ea0ba023148a8423e49847d9b5c4f98ca3"),
)

# The tests have no file for x2, x3, x4: size and hash are as published.
smfanet_plus_author_div2k = _smfanet(
    "smfanet_plus",
    "DIV2K",
    (2017203, "233e22502690ca8b8334b0140a17f368a3a57cd269b324dc7726d67344d64147"),
    (2043123, "21edd46238aaac96c1d4df56773a572f4ba9e7cf801ef6aa9edb734e875b2ff4"),
    (2079539, "238c4eb5d1b177c42cee93cac9fa96cbae63a52c4daded9d153ae9b771f228d0"),
)

"""LMLT's published weights. Needs no torch."""

from __future__ import annotations

from srbench_zoo.weight_files import weight_files

__all__ = ["lmlt_tiny_author"]

_FOLDER = "experiments/pretrained_model"

lmlt_tiny_author = weight_files(
    model="lmlt_tiny.author",
    repository="jwgdmkj/LMLT",
    commit="8602015ffb97300afd72c6ec3de9c89691e69a88",
    path={scale: f"{_FOLDER}/LMLT_tiny_x{scale}{'' if scale == 2 else '_new'}.pth" for scale in (2, 3, 4)},
    licence="MIT",
    paper="Kim et al., LMLT, arXiv 2409.03516",
    rules=(
        (r"^to_feat\.", "entry."),
        (r"^feats\.", "body."),
        (r"\.lhsb\.mfr\.", ".attention.levels."),
        (r"\.lhsb\.aggr\.", ".attention.fuse."),
        (r"\.get_v\.", ".local."),
        (r"\.ccm\.ccm\.", ".mixer."),
        (r"^to_img\.", "upsample."),
    ),
    files=(
        (2, 2070321, "50087c339ae94ef23a193842fe6abdca048b6320c62a693f92fded975d306504"),
        (3, 2109233, "cebaeeb09d16b9ae30f72b4ef3b87a262cb0126b8de6ed3f14f822f269a0ad76"),
        (4, 2164017, "72410dc18b42d22321d62c34fa18713f3744a55f3a6dae6b43b5d10251e67a71"),
    ),
    # The authors' tests name no key and therefore load `params`, not `params_ema`.
    key="params",
)

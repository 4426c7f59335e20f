"""Published weights of entries to the AIM 2020 and NTIRE 2022 to 2025 challenges. Needs no torch."""

from __future__ import annotations

from srbench_zoo.weight_files import Rules, from_zero, weight_files

__all__ = [
    "dipnet_author",
    "efdn_author",
    "espan_author",
    "fmen_author",
    "rfdn_aim_author",
    "safmn_ntire23_author",
    "safmnpp_author",
    "span_c28_author",
    "spanf_author",
]

_SPAN_RULES: Rules = (
    (r"\.eval_conv\.", "."),
    (r"^block_(\d)\.", from_zero),
    (r"\.c([1-3])_r\.", r".conv\1."),
)
# For the attention of RFDN and EFDN, and RLFN's shorter one, used by DIPNet.
_ATTENTION_RULES: Rules = (
    (r"\.(?:esa|att)\.conv1\.", ".attention.entry."),
    (r"\.(?:esa|att)\.conv2\.", ".attention.reduce."),
    (r"\.(?:esa|att)\.conv_f\.", ".attention.skip."),
    (r"\.(?:esa|att)\.conv4\.", ".attention.exit."),
)
_LONG_ATTENTION_RULES: Rules = (
    *_ATTENTION_RULES,
    (r"\.(?:esa|att)\.conv_max\.", ".attention.context.0."),
    (r"\.(?:esa|att)\.conv3\.", ".attention.context.2."),
    (r"\.(?:esa|att)\.conv3_\.", ".attention.context.4."),
)

span_c28_author = weight_files(
    model="span_c28.author",
    repository="Amazingren/NTIRE2024_ESR",
    commit="6404fa48dde4a4adbf241a51debdc661aef20449",
    path="model_zoo/team38_span_ch28_slim.pth",
    licence="MIT",
    paper="Wan et al., SPAN, CVPRW 2024",
    rules=(*_SPAN_RULES, (r"^conv_1\.", "entry."), (r"^conv_2\.", "tail."), (r"^conv_cat\.", "fuse."),
           (r"^upsampler\.", "upsample.")),
    files=((4, 618658, "6c80f05048313289c6526e5fc9726688d7bb3dfdd6ae3c8b1e7dd09f601e5971"),),
)  # fmt: skip

spanf_author = weight_files(
    model="spanf.author",
    repository="Amazingren/NTIRE2025_ESR",
    commit="b69fb668c0362deb696eecbfdebfaa5c2fcdfcb4",
    path="model_zoo/team24_spanf.pth",
    licence="MIT",
    paper="Ren et al., NTIRE 2025 Efficient SR Report, CVPRW 2025",
    rules=(*_SPAN_RULES, (r"^conv_near\.", "nearest."), (r"^conv_cat\.", "fuse."), (r"^conv_2\.", "upsample.0.")),
    files=((4, 606629, "1508c566008654646bea1edff537c83dd7a6fe8f6ffda3f25f9eb7ba09cbbcd3"),),
)

espan_author = weight_files(
    model="espan.author",
    repository="Amazingren/NTIRE2025_ESR",
    commit="b69fb668c0362deb696eecbfdebfaa5c2fcdfcb4",
    path="model_zoo/team36_espan.pth",
    licence="MIT",
    paper="Wang et al., ESPAN, CVPRW 2025",
    rules=(
        *_SPAN_RULES,
        (r"^teacher_block_seq\.", "last."),
        (r"^conv_1\.", "entry."),
        (r"^tea_conv_2\.", "tail."),
        (r"^tea_conv_cat\.", "fuse."),
        (r"^tea_upsampler\.", "upsample."),
    ),
    files=((4, 789776, "f54d2668aef25cd490ff0ced3c47ba2978fa7cb341264a5339b239ef602ea59c"),),
)

efdn_author = weight_files(
    model="efdn.author",
    repository="icandle/EFDN",
    commit="3e7c7b40be14fecd9c89338d92b80ec52e325626",
    path={2: "model_zoo/EFDNx2_baseline.pth", 4: "model_zoo/EFDN_gv.pth"},
    licence="Apache-2.0",
    paper="Wang, EFDN, CVPRW 2022",
    rules=(
        *_LONG_ATTENTION_RULES,
        (r"^head\.", "entry."),
        (r"^cells\.", "body."),
        (r"\.conv([1-3])\.act\.", r".act\1."),
        (r"\.conv([1-3])\.(?:conv1x1|rep_conv)\.", r".conv\1."),
        (r"\.branch\.", ".distil."),
        (r"^local_fuse\.", "fuse."),
        (r"^tail\.", "upsample."),
    ),
    files=(
        (2, 1090719, "6e392d63b322befaf66d7bc0e0b0427b39f58de257f43e036a6bc55b60d30785"),
        (4, 1153119, "71069f10ef234cd123f45ac8e69099f0a1fdc0c16afcfe2189e50071d47ce477"),
    ),
)

rfdn_aim_author = weight_files(
    model="rfdn_aim.author",
    repository="njulj/RFDN",
    commit="7cf4e25b6633e81fd7e26891aeee2baca4f8f927",
    path="trained_model/RFDN_AIM.pth",
    licence="MIT",
    paper="Liu et al., RFDN, ECCVW 2020",
    rules=(
        *_LONG_ATTENTION_RULES,
        (r"^fea_conv\.", "entry."),
        (r"^B(\d)\.", from_zero),
        (r"\.c([1-3])_d\.", lambda match: f".distil.{int(match[1]) - 1}."),
        (r"\.c([1-3])_r\.", lambda match: f".refine.{int(match[1]) - 1}."),
        (r"\.c4\.", ".last."),
        (r"\.c5\.", ".fuse."),
        (r"^c\.0\.", "fuse."),
        (r"^LR_conv\.", "tail."),
        (r"^upsampler\.", "upsample."),
    ),
    files=((4, 1754927, "11af8ec8ebd68689e90ef1e29044f9804c72d3bd9f7573820b7b26035782760c"),),
)

fmen_author = weight_files(
    model="fmen.author",
    repository="NJU-Jet/FMEN",
    commit="a1def169d0e2c99ecebdb1b08bf567f329c3a566",
    path="test_weights.pt",
    licence="Apache-2.0",
    paper="Du et al., FMEN, CVPRW 2022",
    rules=(
        (r"\.rep_conv\.", "."),
        (r"\.convs\.", ".pairs."),
        (r"\.excitate\.", ".excite."),
        (r"^head\.", "entry."),
        (r"^ERBs\.", "body."),
        (r"^HFABs\.", "attention."),
        (r"^tail\.", "upsample."),
        (r"^lr_conv\.", "tail."),
    ),
    files=((4, 1390163, "d5534eba1feacfdd4043d9175d3bf0730b1ab4c91ba5c3f40a2282cd496fb4a5"),),
)

dipnet_author = weight_files(
    model="dipnet.author",
    repository="xiumu00/DIPNet",
    commit="69f43a7873a866a492ee316bc579e56b6f861170",
    path="model_zoo/DIPNet.pth",
    licence="MIT",
    paper="Yu et al., DIPNet, CVPRW 2023",
    rules=(
        *_ATTENTION_RULES,
        (r"\.esa\.conv3\.", ".attention.context."),
        (r"^block_(\d)\.", from_zero),
        (r"\.c([1-3])_r\.", r".conv\1."),
        (r"\.c5\.", ".fuse."),
        (r"^conv_1\.", "entry."),
        (r"^conv_2\.", "tail."),
        (r"^upsampler\.", "upsample."),
    ),
    files=((4, 991924, "7495450802b78cd15f4892851b2479de6605b24f1df1dbbfcaa5227201d61cc1"),),
)

safmnpp_author = weight_files(
    model="safmnpp.author",
    repository="sunny2109/SAFMN",
    commit="68c2182e4f8829a979886b0a1cab8f269f91b321",
    path="NTIRE2024_ESR/model_zoo/team23_safmnpp.pth",
    licence="Apache-2.0",
    paper="Sun et al., SAFMN, ICCV 2023; SAFMN++, NTIRE 2024",
    rules=(
        (r"^to_feat\.", "entry."),
        (r"^feats\.", "body."),
        (r"\.conv1\.proj\.", ".modulation.entry."),
        (r"\.conv1\.dwconv\.", ".modulation.weigh."),
        (r"\.conv1\.out\.", ".modulation.fuse."),
        (r"\.conv2\.conv1\.", ".mixer.0."),
        (r"\.conv2\.conv2\.", ".mixer.2."),
        (r"^to_img\.", "upsample."),
    ),
    files=((4, 1715877, "03bf96b5a50f43123d22c3a257341d536118250f7157f12d2832915be4f52685"),),
    key="params_ema",
)

safmn_ntire23_author = weight_files(
    model="safmn_ntire23.author",
    repository="sunny2109/SAFMN",
    commit="68c2182e4f8829a979886b0a1cab8f269f91b321",
    path="NTIRE2023_ESR/model_zoo/team15_SAFMN.pth",
    licence="Apache-2.0; MIT in the folder",
    paper="Sun et al., SAFMN, ICCV 2023",
    rules=(
        (r"^to_feat\.", "entry."),
        (r"^feats\.", "body."),
        (r"\.safm\.mfr\.", ".modulation.convs."),
        (r"\.safm\.aggr\.", ".modulation.fuse."),
        (r"\.ccm\.ccm\.", ".mixer."),
        (r"^to_img\.", "upsample."),
    ),
    files=((4, 971051, "93fe3d7175ef1446cfcb3a884ddf8bbb4391f31190e9d1bf6c6c1cb768f8b565"),),
    key="params",
)

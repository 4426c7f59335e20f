"""Published weights of BSRN, FSRCNN, IMDN, PAN and RLFN. Needs no torch."""

from __future__ import annotations

import re

from srbench_zoo.weight_files import from_zero, weight_files

__all__ = ["THIRD_PARTY", "bsrn_author", "fsrcnn_author", "imdn_author", "pan_author", "rlfn_author"]

# Weights not trained by the authors of the paper: tagged name -> who trained them.
THIRD_PARTY = {"fsrcnn.author": "the owner of the repository yjn870/FSRCNN-pytorch"}


def _from_mid_part(match: re.Match[str]) -> str:
    """Return the path of a layer of FSRCNN's middle part, where pairs from 2 on map and 10 and 11 expand."""
    number, part = divmod(int(match[1]), 2)
    return f"expand.{part}." if number == 5 else f"maps.{number - 1}.{part}."


imdn_author = weight_files(
    model="imdn.author",
    repository="Zheng222/IMDN",
    commit="8f158e6a5ac9db6e5857d9159fd4a6c4214da574",
    path="checkpoints/IMDN_x{}.pth",
    licence="none stated",
    paper="Hui et al., IMDN, ACM MM 2019",
    rules=(
        (r"^module\.", ""),
        (r"^IMDB(\d)\.", from_zero),
        (r"\.c([1-4])\.", r".conv\1."),
        (r"\.c5\.", ".gather.1."),
        (r"\.cca\.conv_du\.", ".gather.0.weigh."),
        (r"^fea_conv\.", "entry."),
        (r"^c\.0\.", "fuse."),
        (r"^LR_conv\.", "tail."),
        (r"^upsampler\.", "upsample."),
    ),
    files=(
        (2, 2796052, "740b39653592bd3f49955a21cd9e16f2d37f2c413368cc09327601b8fbe42ce1"),
        (3, 2830672, "11b1716a19bc16e5e353e1db798d476169338e631eb170c82d765559888cb028"),
        (4, 2879112, "e660c38221147217a136debeb99eb304d62d9c0f73ac421ed66281b619719714"),
    ),
)

rlfn_author = weight_files(
    model="rlfn.author",
    repository="bytedance/RLFN",
    commit="bccfde91bf8b2de80789ec033a029e6f2a932330",
    path="model_zoo/rlfn_x{}.pth",
    licence="Apache-2.0",
    paper="Kong et al., RLFN, CVPRW 2022",
    rules=(
        (r"^block_(\d)\.", from_zero),
        (r"\.c([1-3])_r\.", r".conv\1."),
        (r"\.c5\.", ".fuse."),
        (r"\.esa\.conv1\.", ".attention.entry."),
        (r"\.esa\.conv2\.", ".attention.reduce."),
        (r"\.esa\.conv3\.", ".attention.context."),
        (r"\.esa\.conv_f\.", ".attention.skip."),
        (r"\.esa\.conv4\.", ".attention.exit."),
        (r"^conv_1\.", "entry."),
        (r"^conv_2\.", "tail."),
        (r"^upsampler\.", "upsample."),
    ),
    files=(
        (2, 2145309, "eafe5d5feeb122022453595c06d79160facdc157ae88deb02a44c50f5eba2d41"),
        (4, 2212893, "8c7edb57dfc89048bafba29d591d4c27d4099964b4a9e22df23d6dc257a637c0"),
    ),
)

bsrn_author = weight_files(
    model="bsrn.author",
    repository="xiaom233/BSRN",
    commit="2d63d5239c9fa9810b9c1aea93e98d42ece09efc",
    path="experiments/pretrained_models/net_g_BSRN_x{}.pth",
    licence="MIT",
    paper="Li et al., BSRN, CVPRW 2022",
    rules=(
        (r"\.pw\.", ".pointwise."),
        (r"\.dw\.", ".depthwise."),
        (r"^fea_conv\.", "entry."),
        (r"^c1\.", "fuse."),
        (r"^c2\.", "tail."),
        (r"^upsampler\.upsampleOneStep\.", "upsample."),
        (r"^B(\d)\.", from_zero),
        (r"\.c([1-3])_d\.", lambda match: f".distil.{int(match[1]) - 1}."),
        (r"\.c([1-3])_r\.", lambda match: f".refine.{int(match[1]) - 1}."),
        (r"\.c4\.", ".last."),
        (r"\.c5\.", ".fuse."),
        (r"\.esa\.conv1\.", ".spatial.entry."),
        (r"\.esa\.conv2\.", ".spatial.reduce."),
        (r"\.esa\.conv_max\.", ".spatial.context.0."),
        (r"\.esa\.conv3\.", ".spatial.context.2."),
        (r"\.esa\.conv3_\.", ".spatial.context.4."),
        (r"\.esa\.conv_f\.", ".spatial.skip."),
        (r"\.esa\.conv4\.", ".spatial.exit."),
        (r"\.cca\.conv_du\.", ".channels.weigh."),
    ),
    files=(
        (2, 1441677, "09bd1f85e017c7902e65a9c9770ee592efe3d013f6b5cf1fe7de8cabac4ba37d"),
        (3, 1476301, "6eb73a300aaec5029bc0de7f5ae85c02b8dcd8fdaf438c77f90272939fecca7e"),
        (4, 1524813, "47518e0f549f5696da0c84ca2d65bf50d789c7ac20e621909f5fd6c8c8d70bcb"),
    ),
)

pan_author = weight_files(
    model="pan.author",
    repository="zhaohengyuan1/PAN",
    commit="4d045d18592c5771cd3990da88f292812774e538",
    path="experiments/pretrained_models/PANx{}_DF2K.pth",
    licence="none stated",
    paper="Zhao et al., PAN, ECCVW 2020",
    rules=(
        (r"^conv_first\.", "entry."),
        (r"^SCPA_trunk\.", "body."),
        (r"\.conv1_a\.", ".plain_entry."),
        (r"\.conv1_b\.", ".calibrated_entry."),
        (r"\.k1\.0\.", ".plain."),
        (r"\.PAConv\.k2\.", ".weigh."),
        (r"\.PAConv\.k3\.", ".conv1."),
        (r"\.PAConv\.k4\.", ".conv2."),
        (r"\.conv3\.", ".fuse."),
        (r"^trunk_conv\.", "tail."),
        (r"^upconv(\d)\.", lambda match: f"upsample.{int(match[1]) - 1}.conv1."),
        (r"^att(\d)\.conv\.", lambda match: f"upsample.{int(match[1]) - 1}.weigh."),
        (r"^HRconv(\d)\.", lambda match: f"upsample.{int(match[1]) - 1}.conv2."),
        (r"^conv_last\.", "exit."),
    ),
    files=(
        (2, 1076593, "fcf8ed48656abbaae46309ee91745684b80235a9c8b37a2d8fb0715a3ad3f00f"),
        (3, 1076593, "86491751d73645a8816a0d6ec62ccde6b22ce5da930e36b3b87f5437167fbc89"),
        (4, 1121681, "739fab99ee7b7058dab4d1b84aa2869bb9fc3995a1c08789c20355bee943833c"),
    ),
)

fsrcnn_author = weight_files(
    model="fsrcnn.author",
    repository="yjn870/FSRCNN-pytorch",
    commit="ecd36324887023ea95e7224353d6836773207551",
    path="weights/fsrcnn_x{}.pth",
    licence="none stated",
    paper="Dong et al., FSRCNN, ECCV 2016",
    rules=(
        (r"^first_part\.", "entry."),
        (r"^mid_part\.([01])\.", r"shrink.\1."),
        (r"^mid_part\.(\d+)\.", _from_mid_part),
        (r"^last_part\.", "exit."),
    ),
    files=(
        (2, 54998, "1af70e2cbf0d11b942008d6c425e469e9fe275a68f3ac8b6c21e8672d6e67b69"),
        (3, 54998, "f65b55819c1258048bc8c1ca96f9e24bd4339f779951d7f928144c08e3868d75"),
        (4, 54998, "c15150d6787d487f38a68e66be5ec8a964182403af494e6a935fa03eeb56a630"),
    ),
)

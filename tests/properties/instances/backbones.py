"""Name -> small random instances of a backbone; to add a backbone, add a line."""

from __future__ import annotations

from instances.distillation import bsrn, dipnet, efdn, fmen, fsrcnn, imdn, pan, rfdn, rlfn, srvgg, swinir
from instances.modern import (
    ecbsr_colour,
    espan,
    etds,
    lkdn,
    lmlt,
    plainusr,
    safmn,
    safmn_plus_plus,
    smfanet,
    span,
    spanf,
)
from instances.seeds import carn, drcn, drrn, edsr, mdsr, rcan, srfbn, vdsr

BACKBONES = {
    "edsr": edsr(),
    "rcan": rcan(),
    "drrn": drrn(),
    "carn": carn(efficient=False),
    "carn_m": carn(efficient=True),
    "srfbn": srfbn(),
    "imdn": imdn(),
    "rlfn": rlfn(),
    "bsrn": bsrn(),
    "pan": pan(),
    "span": span(),
    "spanf": spanf(),
    "espan": espan(),
    "plainusr": plainusr(),
    "efdn": efdn(),
    "rfdn": rfdn(),
    "fmen": fmen(),
    "dipnet": dipnet(),
    "safmn": safmn(),
    "safmn_plus_plus": safmn_plus_plus(),
    "lmlt": lmlt(),
    "fsrcnn": fsrcnn(),
    "srvgg": srvgg(),
    "vdsr": vdsr(),
    "drcn": drcn(),
    "mdsr": mdsr(),
    "swinir": swinir(),
    "smfanet": smfanet(),
    "lkdn": lkdn(),
    "etds": etds(),
    "ecbsr_colour": ecbsr_colour(),
}

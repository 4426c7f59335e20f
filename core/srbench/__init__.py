"""sr-bench: a benchmark suite for image super-resolution networks.

    import srbench
    model = srbench.create_model("edsr_baseline+ps(ratio=1/16)", scale=2)

The public names below are loaded when they are first used, so that `import srbench` needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from srbench.interop.timm_hook import register_when_imported

__version__ = "0.1.0"

# name -> module
_PUBLIC = {
    "Backbone": "srbench.models.backbone",
    "ModelName": "srbench.registry.names",
    "SRBenchError": "srbench.errors",
    "SharingMethod": "srbench.models.methods.sharing_method",
    "SharingSite": "srbench.models.sites",
    "SiteGroup": "srbench.models.methods.sharing_method",
    "PerScaleWeights": "srbench.models.weight_sources",
    "WeightSource": "srbench.models.weight_sources",
    "apply_method": "srbench.models.surgery",
    "count_parameters": "srbench.models.counting",
    "create_model": "srbench.models.factory",
    "fold": "srbench.models.surgery",
    "get_protocol": "srbench.protocols",
    "is_model": "srbench.registry",
    "list_backbones": "srbench.registry",
    "list_datasets": "srbench.registry",
    "list_methods": "srbench.registry",
    "list_metrics": "srbench.registry",
    "list_models": "srbench.registry",
    "list_protocols": "srbench.registry",
    "list_suites": "srbench.registry",
    "register_backbone": "srbench.registry",
    "register_dataset": "srbench.registry",
    "register_method": "srbench.registry",
    "register_metric": "srbench.registry",
    "register_protocol": "srbench.registry",
}

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from srbench.errors import SRBenchError as SRBenchError
    from srbench.models.backbone import Backbone as Backbone
    from srbench.models.counting import count_parameters as count_parameters
    from srbench.models.factory import create_model as create_model
    from srbench.models.methods.sharing_method import SharingMethod as SharingMethod
    from srbench.models.methods.sharing_method import SiteGroup as SiteGroup
    from srbench.models.sites import SharingSite as SharingSite
    from srbench.models.surgery import apply_method as apply_method
    from srbench.models.surgery import fold as fold
    from srbench.models.weight_sources import PerScaleWeights as PerScaleWeights
    from srbench.models.weight_sources import WeightSource as WeightSource
    from srbench.protocols import get_protocol as get_protocol
    from srbench.registry import is_model as is_model
    from srbench.registry import list_backbones as list_backbones
    from srbench.registry import list_datasets as list_datasets
    from srbench.registry import list_methods as list_methods
    from srbench.registry import list_metrics as list_metrics
    from srbench.registry import list_models as list_models
    from srbench.registry import list_protocols as list_protocols
    from srbench.registry import list_suites as list_suites
    from srbench.registry.names import ModelName as ModelName
    from srbench.registry.registries import register_backbone as register_backbone
    from srbench.registry.registries import register_dataset as register_dataset
    from srbench.registry.registries import register_method as register_method
    from srbench.registry.registries import register_metric as register_metric
    from srbench.registry.registries import register_protocol as register_protocol


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'srbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


# Models are in timm's registry too, whichever of the two is imported first; timm itself is not imported here.
register_when_imported()

"""The registries: what is installed, by name, in timm's manner.

Listing reads the entry points of installed distributions and imports nothing; an object is imported when it is first
used. The decorators register objects of notebooks and tests, and mark those of plugins.
"""

from srbench.registry.lookup import (
    canonical_name,
    get_backbone,
    get_dataset,
    get_method,
    get_metric,
    is_model,
    list_backbones,
    list_datasets,
    list_methods,
    list_metrics,
    list_models,
    list_suites,
    make_method,
    matching,
    suite_file,
    tagged_source,
)
from srbench.registry.registries import (
    BACKBONES,
    BASELINES,
    DATASETS,
    METHODS,
    METRICS,
    SUITES,
    WEIGHTS,
    Registry,
    register_backbone,
    register_dataset,
    register_method,
    register_metric,
)

__all__ = [
    "BACKBONES",
    "BASELINES",
    "DATASETS",
    "METHODS",
    "METRICS",
    "SUITES",
    "WEIGHTS",
    "Registry",
    "canonical_name",
    "get_backbone",
    "get_dataset",
    "get_method",
    "get_metric",
    "is_model",
    "list_backbones",
    "list_datasets",
    "list_methods",
    "list_metrics",
    "list_models",
    "list_suites",
    "make_method",
    "matching",
    "register_backbone",
    "register_dataset",
    "register_method",
    "register_metric",
    "suite_file",
    "tagged_source",
]

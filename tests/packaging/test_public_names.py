"""The names that users and plugins may rely on. To change this list is to change the interface: see CHANGELOG.md."""

from __future__ import annotations

from importlib.metadata import version

import srbench
from srbench import errors

PUBLIC = """
    Backbone ModelName PerScaleWeights SRBenchError SharingMethod SharingSite SiteGroup WeightSource __version__
    apply_method count_parameters create_model fold get_protocol is_model list_backbones list_datasets list_methods
    list_metrics list_models list_protocols list_suites register_backbone register_dataset register_method
    register_metric register_protocol
"""
ERRORS = """
    ConfigError CostError DataError DuplicateNameError NameSyntaxError NetworkError PluginError SRBenchError
    SharingError StoreError UnknownNameError WeightsError suggest
"""


def test_public_names_of_srbench_are_these() -> None:
    assert sorted(srbench.__all__) == PUBLIC.split()


def test_every_public_name_exists_and_is_shown_by_dir() -> None:
    assert [name for name in srbench.__all__ if getattr(srbench, name, None) is None] == []
    assert set(srbench.__all__) <= set(dir(srbench))


def test_public_names_of_errors_are_these() -> None:
    assert sorted(errors.__all__) == ERRORS.split()


def test_every_error_is_an_srbench_error() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name != "suggest"]
    assert all(issubclass(cls, errors.SRBenchError) for cls in classes)


def test_version_is_that_of_the_distribution() -> None:
    assert srbench.__version__ == version("sr-bench")

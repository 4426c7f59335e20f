"""Everything that a plugin may import: nothing else of sr-bench is a stable interface.

Names are loaded when they are first used, so that a method's or a weight source's module needs no torch.

Backbones
    Backbone: the base class of networks.
    LumaBackbone: the base class of networks that see luma only.
    Architecture: depth, filters, upsampling and skips, as papers' tables list them.
    register_backbone: register a function `(scales) -> Backbone`.
    create_model: create a model by name.
    load_network: create a model with the weights of its tag or of a file.
    parse_scales: read `2,3,4` from the command line.
    count_parameters: count parameters, shared ones once.
    matlab_bicubic: Matlab's bicubic interpolation of tensors, differentiable.
    mean_shift: the frozen 1x1 convolution that adds or removes DIV2K's mean color.
    basicsr_archs: basicsr's networks, as a module: `basicsr_archs.EDSR`.
    basicsr_backbone: an architecture of basicsr's `ARCH_REGISTRY`, for `register_backbone`.

Sharing sites
    SharingSite: one use of a layer that a method may replace.
    BlockSpec: the parts of a site of kind `block`.
    BIAS_POLICIES: which bias a layer keeps when its weight comes from a bank.
    tie: tie the sites of a backbone, in its constructor.
    layer_at: the layer that computes at a path, tied or not.

Pruning
    trace_feeds: which channels a network's layers pass to one another.
    Feed: the input and output channels of a layer.
    pruned_conv: a convolution without its pruned channels, for `fold`.

Sharing methods
    SharingMethod: the base class of methods.
    SiteGroup: sites that a method treats together.
    GeneratedConvMethod: the base class of methods whose layers make their kernels.
    GeneratedConv: the base class of convolutions whose kernel is made in each forward pass.
    SharedBanks: the banks and tied biases of a group of such layers.
    register_method: register a method.
    SharedModuleRef: the base class of layers that use a shared module.
    TiedLayer: one use of a layer that several sites share as a whole.
    MultiScaleModule: the base class of layers with parameters for each scale.
    ConvOptions: the options of a convolution without its weights: apply them, or make a plain layer.
    plain_conv: the plain convolution with given weights and another layer's options, for `fold`.
    apply_method: apply a method to a network.
    fold: replace shared layers by plain ones, for inference.

Model names
    ModelName: a parsed model name.
    parse: parse a model name.
    parse_value: parse one argument's value.
    canonical_name: the canonical spelling of a model's name, with defaults filled in.
    make_method: the method of a model name, its arguments checked.

Weights
    WeightSource: where published weights are and how they are read.
    PerScaleWeights: weights published in a file for each scale.
    tagged_source: the weights of a tagged model name.
    save_state: write a model's weights as safetensors.
    load_into: load a file of weights into a model.
    sha256_file: the SHA-256 of a file.

Metrics, protocols and evaluation
    Metric: what a metric is: a name, a unit, a direction, and a call with a `Comparison`.
    Comparison: an SR and an HR image, prepared as a protocol compares them.
    register_metric: register a metric.
    get_metric: a metric by name.
    Protocol: how LR images are made and SR images are compared.
    register_protocol: register a protocol.
    get_protocol: a protocol by name.
    list_protocols: the names of protocols.
    evaluate: measure a model on a data set under a protocol.
    evaluate_protocols: the same under several protocols, with one pass of the model.
    Evaluation: what `evaluate` returns: a row per image, means, times, the error of tiles.
    image_batch: an image as the batch that networks take.
    super_resolve: the SR image of one LR image, and the seconds it took.
    pick_device: a torch device by name, checked.

Data sets
    Dataset: the base class of data sets.
    FolderDataset: a folder of HR images as a data set.
    Licence: author and licence of an image.
    register_dataset: register a data set.
    open_dataset: a data set by name, or a folder.
    crop_box: the part of an image that pages show.

Cost
    register_rule: register the cost of an operator.
    CONVOLUTION: kind of operator, for `register_rule`: convolutions.
    PRODUCT: the same for matrix products.
    OTHER: the same for per-element work, which is not part of the MACs.
    FREE: the same for operators that cost nothing.
    work_at: count the work of a network at one size.
    on_meta: a copy of a network on the meta device, for counting.

Results
    RunStore: the records of a run directory.

Executors
    ClusterExecutor: the base class of executors that hand jobs to a scheduler.
    Task: a job as a scheduler gets it: a callable that can be pickled.
    Executor: the interface of all executors.
    Crash: the event that reports a job as lost.

Figures
    FigureSheet: a figure laid out in inches.
    figure_style: draw in sr-bench's style.
    save_figure: write a figure, the same bytes each time.
    check_figure_path: refuse a figure that could not be written, before any work.
    FIGURE_COLORS: the palette, safe for color blindness.
    FIGURE_DIVERGING: the colormap of signed values.
    FIGURE_DPI: pixels per inch of PNG files.

Commands
    check_json_target: refuse a `--json` file that could not be written.
    write_json: write a command's result as JSON.
    print_table: print a table on the terminal.
    read_text: read a text file that a user gave: a regular file, of bounded size.
    parse_json: parse a JSON text, of bounded depth.

Errors
    SRBenchError: the base of all errors that users read.
    ConfigError: an option or an argument with a wrong value.
    DataError: an invalid image or data set.
    SharingError: a method that cannot be applied.
    UnknownNameError: a name that is not registered.
    WeightsError: a checkpoint that is missing, damaged, foreign or unsafe.
    suggest: the ending of an "unknown name" message: the nearest name, then all.

Testing
    check_model: run the conformance checks of a model, with layers and tracebacks.
    conformance_test: a pytest test of models in one line.
    parametrize_with_checks: a pytest test of all conformance checks for each model.
    run_checks: run the conformance checks of a model once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# name -> the module that defines it
_MODULES = {
    "Backbone": "srbench.models.backbone",
    "LumaBackbone": "srbench.models.luma",
    "Architecture": "srbench.models.architecture",
    "register_backbone": "srbench.registry.registries",
    "create_model": "srbench.models.factory",
    "load_network": "srbench.models.loading",
    "parse_scales": "srbench.models.loading",
    "count_parameters": "srbench.models.counting",
    "matlab_bicubic": "srbench.models.matlab_bicubic",
    "mean_shift": "srbench.models.mean_shift",
    "basicsr_archs": "srbench.compat.basicsr_archs",
    "basicsr_backbone": "srbench.interop.basicsr_backbone",
    "SharingSite": "srbench.models.sites",
    "BlockSpec": "srbench.models.sites",
    "BIAS_POLICIES": "srbench.models.sites",
    "tie": "srbench.models.surgery",
    "layer_at": "srbench.models.surgery",
    "trace_feeds": "srbench.models.feeds",
    "Feed": "srbench.models.feeds",
    "pruned_conv": "srbench.models.pruned_conv",
    "SharingMethod": "srbench.models.methods.sharing_method",
    "SiteGroup": "srbench.models.methods.sharing_method",
    "GeneratedConvMethod": "srbench.models.methods.generated_conv_method",
    "GeneratedConv": "srbench.models.generated_conv",
    "SharedBanks": "srbench.models.generated_conv",
    "register_method": "srbench.registry.registries",
    "SharedModuleRef": "srbench.models.shared_modules",
    "TiedLayer": "srbench.models.shared_modules",
    "MultiScaleModule": "srbench.models.shared_modules",
    "ConvOptions": "srbench.models.plain_conv",
    "plain_conv": "srbench.models.plain_conv",
    "apply_method": "srbench.models.surgery",
    "fold": "srbench.models.surgery",
    "ModelName": "srbench.registry.names",
    "parse": "srbench.registry.names",
    "parse_value": "srbench.registry.names",
    "canonical_name": "srbench.registry.lookup",
    "make_method": "srbench.registry.lookup",
    "WeightSource": "srbench.models.weight_sources",
    "PerScaleWeights": "srbench.models.weight_sources",
    "tagged_source": "srbench.registry.lookup",
    "save_state": "srbench.models.weight_files",
    "load_into": "srbench.models.weight_files",
    "sha256_file": "srbench.storage",
    "Metric": "srbench.metrics.base",
    "Comparison": "srbench.metrics.comparison",
    "register_metric": "srbench.registry.registries",
    "get_metric": "srbench.registry.lookup",
    "Protocol": "srbench.protocols",
    "register_protocol": "srbench.registry.registries",
    "get_protocol": "srbench.protocols",
    "list_protocols": "srbench.registry.lookup",
    "evaluate": "srbench.evaluation.evaluate",
    "evaluate_protocols": "srbench.evaluation.evaluate",
    "Evaluation": "srbench.evaluation.result",
    "image_batch": "srbench.models.image_batch",
    "super_resolve": "srbench.evaluation.evaluate",
    "pick_device": "srbench.machine",
    "Dataset": "srbench.data.datasets",
    "FolderDataset": "srbench.data.folders",
    "Licence": "srbench.data.datasets",
    "register_dataset": "srbench.registry.registries",
    "open_dataset": "srbench.data.datasets",
    "crop_box": "srbench.images.crops",
    "register_rule": "srbench.cost.rules",
    "CONVOLUTION": "srbench.cost.rules",
    "PRODUCT": "srbench.cost.rules",
    "OTHER": "srbench.cost.rules",
    "FREE": "srbench.cost.rules",
    "work_at": "srbench.cost.counts",
    "on_meta": "srbench.cost.operators",
    "RunStore": "srbench.results.store",
    "ClusterExecutor": "srbench.runs.cluster",
    "Task": "srbench.runs.handover",
    "Executor": "srbench.runs.executors",
    "Crash": "srbench.runs.executors",
    "FigureSheet": "srbench.figures",
    "figure_style": "srbench.figures",
    "save_figure": "srbench.figures",
    "check_figure_path": "srbench.figures",
    "FIGURE_COLORS": "srbench.figures",
    "FIGURE_DIVERGING": "srbench.figures",
    "FIGURE_DPI": "srbench.figures",
    "check_json_target": "srbench.cli.output",
    "write_json": "srbench.cli.output",
    "print_table": "srbench.cli.output",
    "read_text": "srbench.untrusted",
    "parse_json": "srbench.untrusted",
    "SRBenchError": "srbench.errors",
    "ConfigError": "srbench.errors",
    "DataError": "srbench.errors",
    "SharingError": "srbench.errors",
    "UnknownNameError": "srbench.errors",
    "WeightsError": "srbench.errors",
    "suggest": "srbench.errors",
    "check_model": "srbench.testing.kit",
    "conformance_test": "srbench.testing.kit",
    "parametrize_with_checks": "srbench.testing.kit",
    "run_checks": "srbench.testing.kit",
}

__all__ = list(_MODULES)

if TYPE_CHECKING:
    from srbench.cli.output import check_json_target as check_json_target
    from srbench.cli.output import print_table as print_table
    from srbench.cli.output import write_json as write_json
    from srbench.compat import basicsr_archs as basicsr_archs
    from srbench.cost.counts import work_at as work_at
    from srbench.cost.operators import on_meta as on_meta
    from srbench.cost.rules import CONVOLUTION as CONVOLUTION
    from srbench.cost.rules import FREE as FREE
    from srbench.cost.rules import OTHER as OTHER
    from srbench.cost.rules import PRODUCT as PRODUCT
    from srbench.cost.rules import register_rule as register_rule
    from srbench.data.datasets import Dataset as Dataset
    from srbench.data.datasets import Licence as Licence
    from srbench.data.datasets import open_dataset as open_dataset
    from srbench.data.folders import FolderDataset as FolderDataset
    from srbench.errors import ConfigError as ConfigError
    from srbench.errors import DataError as DataError
    from srbench.errors import SharingError as SharingError
    from srbench.errors import SRBenchError as SRBenchError
    from srbench.errors import UnknownNameError as UnknownNameError
    from srbench.errors import WeightsError as WeightsError
    from srbench.errors import suggest as suggest
    from srbench.evaluation.evaluate import evaluate as evaluate
    from srbench.evaluation.evaluate import evaluate_protocols as evaluate_protocols
    from srbench.evaluation.evaluate import super_resolve as super_resolve
    from srbench.evaluation.result import Evaluation as Evaluation
    from srbench.figures import FIGURE_COLORS as FIGURE_COLORS
    from srbench.figures import FIGURE_DIVERGING as FIGURE_DIVERGING
    from srbench.figures import FIGURE_DPI as FIGURE_DPI
    from srbench.figures import FigureSheet as FigureSheet
    from srbench.figures import check_figure_path as check_figure_path
    from srbench.figures import figure_style as figure_style
    from srbench.figures import save_figure as save_figure
    from srbench.images.crops import crop_box as crop_box
    from srbench.interop.basicsr_backbone import basicsr_backbone as basicsr_backbone
    from srbench.machine import pick_device as pick_device
    from srbench.metrics.base import Metric as Metric
    from srbench.metrics.comparison import Comparison as Comparison
    from srbench.models.architecture import Architecture as Architecture
    from srbench.models.backbone import Backbone as Backbone
    from srbench.models.counting import count_parameters as count_parameters
    from srbench.models.factory import create_model as create_model
    from srbench.models.feeds import Feed as Feed
    from srbench.models.feeds import trace_feeds as trace_feeds
    from srbench.models.generated_conv import GeneratedConv as GeneratedConv
    from srbench.models.generated_conv import SharedBanks as SharedBanks
    from srbench.models.image_batch import image_batch as image_batch
    from srbench.models.loading import load_network as load_network
    from srbench.models.loading import parse_scales as parse_scales
    from srbench.models.luma import LumaBackbone as LumaBackbone
    from srbench.models.matlab_bicubic import matlab_bicubic as matlab_bicubic
    from srbench.models.mean_shift import mean_shift as mean_shift
    from srbench.models.methods.generated_conv_method import GeneratedConvMethod as GeneratedConvMethod
    from srbench.models.methods.sharing_method import SharingMethod as SharingMethod
    from srbench.models.methods.sharing_method import SiteGroup as SiteGroup
    from srbench.models.plain_conv import ConvOptions as ConvOptions
    from srbench.models.plain_conv import plain_conv as plain_conv
    from srbench.models.pruned_conv import pruned_conv as pruned_conv
    from srbench.models.shared_modules import MultiScaleModule as MultiScaleModule
    from srbench.models.shared_modules import SharedModuleRef as SharedModuleRef
    from srbench.models.shared_modules import TiedLayer as TiedLayer
    from srbench.models.sites import BIAS_POLICIES as BIAS_POLICIES
    from srbench.models.sites import BlockSpec as BlockSpec
    from srbench.models.sites import SharingSite as SharingSite
    from srbench.models.surgery import apply_method as apply_method
    from srbench.models.surgery import fold as fold
    from srbench.models.surgery import layer_at as layer_at
    from srbench.models.surgery import tie as tie
    from srbench.models.weight_files import load_into as load_into
    from srbench.models.weight_files import save_state as save_state
    from srbench.models.weight_sources import PerScaleWeights as PerScaleWeights
    from srbench.models.weight_sources import WeightSource as WeightSource
    from srbench.protocols import Protocol as Protocol
    from srbench.protocols import get_protocol as get_protocol
    from srbench.registry.lookup import canonical_name as canonical_name
    from srbench.registry.lookup import get_metric as get_metric
    from srbench.registry.lookup import list_protocols as list_protocols
    from srbench.registry.lookup import make_method as make_method
    from srbench.registry.lookup import tagged_source as tagged_source
    from srbench.registry.names import ModelName as ModelName
    from srbench.registry.names import parse as parse
    from srbench.registry.names import parse_value as parse_value
    from srbench.registry.registries import register_backbone as register_backbone
    from srbench.registry.registries import register_dataset as register_dataset
    from srbench.registry.registries import register_method as register_method
    from srbench.registry.registries import register_metric as register_metric
    from srbench.registry.registries import register_protocol as register_protocol
    from srbench.results.store import RunStore as RunStore
    from srbench.runs.cluster import ClusterExecutor as ClusterExecutor
    from srbench.runs.executors import Crash as Crash
    from srbench.runs.executors import Executor as Executor
    from srbench.runs.handover import Task as Task
    from srbench.storage import sha256_file as sha256_file
    from srbench.testing.kit import check_model as check_model
    from srbench.testing.kit import conformance_test as conformance_test
    from srbench.testing.kit import parametrize_with_checks as parametrize_with_checks
    from srbench.testing.kit import run_checks as run_checks
    from srbench.untrusted import parse_json as parse_json
    from srbench.untrusted import read_text as read_text


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'srbench.plugin' has no attribute '{name}'; its docstring lists what it has")
    module = importlib.import_module(_MODULES[name])
    # A whole module is offered under its own name.
    value = module if _MODULES[name].endswith(f".{name}") and not hasattr(module, name) else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

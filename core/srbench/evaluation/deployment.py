"""Deployment: what is done to a network before it is evaluated. Importing this module needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field, StrictBool, StrictStr, ValidationError

from srbench.errors import ConfigError
from srbench.evaluation.options import InferenceOptions
from srbench.registry.registries import PATHS
from srbench.validation import problems_in

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

__all__ = ["DEFAULT_DEPLOYMENT", "Deployed", "DeploymentOptions", "check_path", "deploy", "deployment_from", "on_path"]


class DeploymentOptions(InferenceOptions):
    """Inference options, and changes to the network itself, made before it is evaluated.

    Like the other options, those that differ from the default are part of a result's key, label and digest. They are a
    class of their own because every result depends on the code of `InferenceOptions`, and few on this one.

    Attributes:
        fold: Fold the network: shared layers become plain ones where the method can do so, with the same function up to
            rounding. Methods whose additions serve only training are folded in any case.
        path: The inference path of a network that has several, such as `sparse`; None leaves it as it is.
    """

    fold: StrictBool = False
    path: Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9_:-]*$", max_length=80)] | None = None

    @property
    def inference(self) -> InferenceOptions:
        """Return the options that `evaluate` takes, which has nothing to do with the others."""
        return InferenceOptions.model_validate(self.model_dump(include=set(InferenceOptions.model_fields)))

    def label(self, protocol: str) -> str:
        """Return a protocol's name followed by the options: `matlab-y+self-ensemble+fold+sparse-path`."""
        parts = [super().label(protocol)]
        if self.fold:
            parts.append("fold")
        if self.path is not None:
            parts.append(f"{self.path.replace('_', '-')}-path")
        return "+".join(parts)

    def explain(self) -> list[str]:
        """Return a sentence for each option that differs from the default."""
        said = super().explain()
        if self.fold:
            said.append("Shared layers are folded into plain ones where possible, which may change the last bits.")
        if self.path is not None:
            said.append(f"Networks take the inference path {self.path}, which may change the last bits.")
        return said


DEFAULT_DEPLOYMENT = DeploymentOptions()


def deployment_from(**values: object) -> DeploymentOptions:
    """Make options from values given by a user, by name.

    Raises:
        ConfigError: A value is wrong.
        UnknownNameError: There is no such inference path; the message suggests the nearest.
    """
    try:
        options = DeploymentOptions.model_validate(values)
    except ValidationError as error:
        sentences = [problem.sentence(DeploymentOptions.model_fields) for problem in problems_in(error)]
        raise ConfigError(f"inference options: {'; '.join(sentences)}") from None
    check_path(options.path)
    return options


def check_path(path: str | None) -> None:
    """Refuse an inference path that no installed distribution contributes.

    Raises:
        UnknownNameError: There is none of this name; the message suggests the nearest.
    """
    if path is not None and path not in PATHS:
        raise PATHS.unknown(path)


def on_path(model: Backbone, path: str) -> Backbone:
    """Return a copy of a network on an inference path.

    Raises:
        UnknownNameError: There is no such path.
        ConfigError: The network does not have this path.
    """
    changed: Backbone = PATHS.get(path)(model)
    return changed


class Deployed(NamedTuple):
    """A network as it is evaluated at one scale.

    Attributes:
        network: The network to run.
        counted: The network whose parameters and work are counted: without what `DeploymentOptions` change, so that a
            shared layer is not counted as the plain ones that it is folded into.
        folded: Whether layers of `network` were folded.
    """

    network: Backbone
    counted: Backbone
    folded: bool


def deploy(model: Backbone, scale: int, options: InferenceOptions) -> Deployed:
    """Return a network as it is evaluated at a scale.

    Raises:
        ConfigError: The network lacks the scale or the inference path.
        UnknownNameError: There is no such path.
    """
    from srbench.models.surgery import deployed, fold

    counted = network = deployed(model, scale)
    folded = method_folds = model.method is not None and model.method.measured_folded
    if isinstance(options, DeploymentOptions):
        if options.fold and not method_folds:
            network = fold(counted, scale)
            folded = _differ(counted, network)
        if options.path is not None:
            network = on_path(network, options.path)
    return Deployed(network, counted, folded)


def _differ(before: Backbone, after: Backbone) -> bool:
    """Return whether a layer at one of the method's sites was replaced."""
    if before.method is None:
        return False
    paths = [site.path for site in before.sharing_sites() if before.method.takes(site)]
    return any(type(before.get_submodule(path)) is not type(after.get_submodule(path)) for path in paths)

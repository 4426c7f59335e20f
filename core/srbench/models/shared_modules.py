"""How layers use a module that is registered once, elsewhere on the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

if TYPE_CHECKING:
    pass

__all__ = ["SharedUser", "TaskModule", "Use"]


class SharedUser(nn.Module):
    """A layer that uses a module registered elsewhere on the network.

    The reference is kept in a tuple, which `nn.Module` does not register: the state dict holds the shared tensors once,
    and `deepcopy`, `pickle` and `to_empty` keep the sharing, which they would not for a bare shared parameter.
    """

    def __init__(self, shared: nn.Module | None) -> None:
        super().__init__()
        self._referred: tuple[nn.Module, ...] = () if shared is None else (shared,)

    @property
    def shared_module(self) -> nn.Module | None:
        """The module used, or None."""
        return self._referred[0] if self._referred else None


class Use(SharedUser):
    """One use of a layer that several sites share whole."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the shared layer."""
        return cast(Tensor, self._referred[0](x))


class TaskModule(SharedUser):
    """A layer with parameters for each task (scale) of a multi-scale network, of which one is active.

    Attributes:
        tasks: The scales that it has parameters for.
        task: The active one.
    """

    def __init__(self, shared: nn.Module | None, tasks: tuple[int, ...]) -> None:
        super().__init__(shared)
        self.tasks = tasks
        self.task = tasks[0]

    def keep_task(self, task: int) -> None:
        """Forget the parameters of all tasks but one."""
        raise NotImplementedError

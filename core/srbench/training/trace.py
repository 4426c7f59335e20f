"""The trace of a training: losses of its first iterations and the weights after them, to verify a replay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from torch import Tensor, nn

__all__ = ["TRACED_ITERATIONS", "Trace"]

TRACED_ITERATIONS = 20


@dataclass
class Trace:
    """Losses and weights that a training with the same seed, images and code reproduces bit for bit on one machine.

    Attributes:
        losses: Loss of each iteration, beginning with the first.
        weights_sha256: Hash of the weights after the last of them; empty until then.
    """

    losses: list[float] = field(default_factory=list)
    weights_sha256: str = ""

    def take(self, iteration: int, iterations: int, loss: Tensor, net: nn.Module) -> None:
        """Record one iteration, if it is the next one of the trace.

        Args:
            iteration: Its number, counted from 1.
            iterations: Total number of iterations of the training.
            loss: Its loss.
            net: The network whose weights are hashed.
        """
        last = min(TRACED_ITERATIONS, iterations)
        if iteration > last or iteration != len(self.losses) + 1:
            return
        self.losses.append(float(loss))
        if iteration == last:
            self.weights_sha256 = _digest(net)


def _digest(net: nn.Module) -> str:
    """Return the SHA-256 of all tensors of a state: names, shapes, dtypes and values."""
    digest = hashlib.sha256()
    for key, tensor in sorted(net.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{key}:{tuple(values.shape)}:{values.dtype}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()

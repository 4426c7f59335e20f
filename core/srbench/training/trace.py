"""The trace of a training: the losses of its first iterations and the weights after them, to replay it by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from torch import Tensor, nn

__all__ = ["TRACED_ITERATIONS", "Trace"]

TRACED_ITERATIONS = 20


@dataclass
class Trace:
    """What a training with the same seed, images and code must repeat, bit for bit on the same machine.

    Attributes:
        losses: Loss of each iteration from the first on.
        weights_sha256: Hash of the weights after the last of them; empty until then.
    """

    losses: list[float] = field(default_factory=list)
    weights_sha256: str = ""

    def take(self, iteration: int, iterations: int, loss: Tensor, net: nn.Module) -> None:
        """Take one iteration in, if it is the next one that a trace holds.

        Args:
            iteration: Its number, from 1 on.
            iterations: How many the training has.
            loss: Its loss.
            net: The network whose weights count.
        """
        last = min(TRACED_ITERATIONS, iterations)
        if iteration > last or iteration != len(self.losses) + 1:
            return
        self.losses.append(float(loss))
        if iteration == last:
            self.weights_sha256 = _digest(net)


def _digest(net: nn.Module) -> str:
    """Return the SHA-256 of all tensors of a state: names, shapes, types and values."""
    digest = hashlib.sha256()
    for key, tensor in sorted(net.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{key}:{tuple(values.shape)}:{values.dtype}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()

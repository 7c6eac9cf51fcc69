"""The Muon optimizer, for weight matrices: momentum, made orthogonal, as the update.

Keller Jordan and others, 2024, "Muon: an optimizer for hidden layers in neural networks". All
matrices of one shape are orthogonalised together, since each alone is small.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable


class Muon(torch.optim.Optimizer):
    """Update matrices by their orthogonalised momentum (Nesterov), scaled by `lr`."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Take one step; `closure` is not used."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, parameters in shapes.items():
                directions = torch.stack([self._momentum(p, group["momentum"]) for p in parameters])
                scale = -group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                updates = orthogonal(directions).float() * scale
                torch._foreach_add_(tuple(parameters), updates.unbind())

    def _momentum(self, parameter: nn.Parameter, decay: float) -> Tensor:
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 - the caller chose those that have one
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - decay)
        return gradient.lerp(state["momentum"], decay)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of matrices `[N, R, C]` close to 1 (Newton–Schulz, in bf16)."""
    x = matrices.bfloat16()
    if tall := x.shape[1] > x.shape[2]:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.02 + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    flat: Tensor = x.mT if tall else x
    return flat

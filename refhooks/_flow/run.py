"""The state of one run on packed latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._core.contract.family_run import FamilyRun
from refhooks._core.contract.values import Branch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Family
    from refhooks._core.contract.values import Text

__all__ = ["FlowRun"]


class FlowRun(FamilyRun):
    """The state of one run on packed latents.

    Args:
        family: Its adapter.
        texts: The encoded prompts, by the names of the passes that read them.
        scale: Of the guidance.
        seeds: One for each picture of the batch.
        size: Of the output.
        references: Size at which the VAE encodes each reference, or ``None``.

    Attributes:
        family: As given.
        pipe: The pipeline.
        device: Of the run.
        dtype: Of the run, that of the encoded prompts, which are cast to the transformer's.
        scale: As given.
    """

    def __init__(
        self,
        family: Family,
        *,
        texts: Mapping[str, Text],
        scale: float,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
    ) -> None:
        config = family.pipe.transformer.config
        self.family: Any = family
        self.pipe: Any = family.pipe
        self.texts = texts
        self.scale = scale
        self.device = family.pipe._execution_device
        self.dtype = texts["cond"].embeds.dtype
        self.grid = family.grid(size)
        self.grids = tuple([None if entry is None else family.grid(entry) for entry in references])
        self.heads = config.num_attention_heads
        self.width = config.num_attention_heads * config.attention_head_dim
        self.branches = tuple(Branch(name, text=name) for name in texts)
        self._own_branches = self.branches
        self.noise = self.draw(seeds)

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape in which the stock pipeline draws noise.

        By default ``[B,C,rows,columns]``, with the ``C`` of the transformer.
        """
        return (batch, self.pipe.transformer.config.in_channels, *self.grid)

    def pack(self, latents: Tensor) -> Tensor:
        """Return drawn or encoded latents as tokens ``[B,T,C]``, row by row.

        By default the last two axes are rows and columns, and the second ``C``.
        """
        return latents.flatten(-2).reshape(latents.shape[0], latents.shape[1], -1).transpose(1, 2)

    def draw(self, seeds: Sequence[int]) -> Tensor:
        """Return the noise of each seed, ``[B,T,C]``, from generators on the CPU."""
        import torch  # noqa: PLC0415  plugins load without it
        from diffusers.utils.torch_utils import randn_tensor  # noqa: PLC0415

        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        shape = self.noise_shape(len(seeds))
        return self.pack(
            randn_tensor(shape, generator=generators, device=self.device, dtype=self.dtype)
        )

    def use_scale(self, scale: float) -> None:
        """Guide the next step by this scale, without a second pass where that is off."""
        self.scale = scale
        own = self._own_branches
        self.branches = own if scale > 1 else tuple(it for it in own if it.name != "uncond")

    def guide(self, predictions: Mapping[str, Tensor]) -> Tensor:
        """Plain classifier-free guidance, ``u + scale·(c − u)``, where there are two passes."""
        cond, uncond = predictions["cond"], predictions.get("uncond")
        return cond if uncond is None else uncond + self.scale * (cond - uncond)

    def close(self) -> None:
        """Let an offloaded pipeline go back to rest."""
        self.pipe._current_timestep = None
        self.pipe.maybe_free_model_hooks()

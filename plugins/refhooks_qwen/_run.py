"""The state of one run: prompts, noise, and the way through the transformer and the VAE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks.families import FlowRun, StepCaches, with_own_vae
from refhooks_qwen._model import ModelHooks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Branch, Context, Inputs, Size
    from refhooks.attention import GroupEdit


class QwenRun(FlowRun):
    """One run on a Qwen-Image-Edit pipeline."""

    def __init__(self, family: Any, **options: Any) -> None:
        self._channels = family.pipe.transformer.config.in_channels // 4
        super().__init__(family, **options)
        self._hooks = ModelHooks(self.pipe.transformer, self.grid, self.grids)
        self._caches = StepCaches(self.pipe.transformer)
        self._record = False
        self._shares: list[Tensor] = []

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """Before packing: two latents along each side of a token."""
        rows, columns = self.grid
        return (batch, 1, self._channels, 2 * rows, 2 * columns)

    def pack(self, latents: Tensor) -> Tensor:
        """Four latents of a token, one after the other, ``[B,T,C]``."""
        batch, _, _, height, width = latents.shape
        return self.pipe._pack_latents(latents, batch, self._channels, height, width)  # type: ignore[no-any-return]

    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return the VAE's mode, normalised and packed, ``[1,R,C]``."""
        pipe = with_own_vae(self.pipe)
        pixels = pipe.image_processor.preprocess(picture, size.height, size.width)
        pixels = pixels.unsqueeze(2).to(device=self.device, dtype=pipe.vae.dtype)  # [1,3,1,h,w]
        latents = pipe._encode_vae_image(image=pixels, generator=None)  # [1,C/4,1,h/f,w/f]
        return self.pack(latents.transpose(1, 2))

    def prepare(self, *, attention: bool, record: bool) -> None:
        """Put on what holds for the whole run."""
        self._caches.check(self.branches, record=record)
        self._record = record
        self._hooks.prepare(attention=attention, record=record)

    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Run the transformer on target and filled slots, and return the target's part."""
        batch, tokens, _ = inputs.target.shape
        layout = self.layout(inputs)
        hidden, shapes = self._hooks.arrange(inputs, layout, edits)
        self._caches.follow(ctx, branch, layout, inputs, edits)
        self.pipe._current_timestep = ctx.t  # some step caches ask the pipeline for it
        timestep = ctx.t.expand(batch).to(inputs.target.dtype)
        with self.pipe.transformer.cache_context(branch.name):
            prediction = self.pipe.transformer(
                hidden_states=hidden,
                timestep=timestep / 1000,
                guidance=None,
                encoder_hidden_states_mask=inputs.text.mask,
                encoder_hidden_states=inputs.text.embeds,
                img_shapes=[shapes] * batch,
                attention_kwargs=self._hooks.attention_kwargs,
                return_dict=False,
            )[0]
        self._hooks.rest()
        if self._record and branch.name == "cond":
            self._shares.append(self._hooks.recorded())
        return prediction[:, :tokens]  # type: ignore[no-any-return]

    def recorded(self) -> Tensor | None:
        """Return the attention shares of every step, ``[N,blocks,1+references,B]``."""
        return torch.stack(self._shares) if self._shares else None

    def guide(self, predictions: Mapping[str, Tensor]) -> Tensor:
        """Classifier-free guidance; the norm of each token is set back to the conditional one's."""
        cond = predictions["cond"]
        if "uncond" not in predictions:
            return cond
        uncond = predictions["uncond"]
        combined = uncond + self.scale * (cond - uncond)
        cond_norm = torch.norm(cond, dim=-1, keepdim=True)
        combined_norm = torch.norm(combined, dim=-1, keepdim=True)
        return torch.mul(combined, cond_norm / combined_norm)

    def close(self) -> None:
        """Take the hooks off, empty step caches, let an offloaded pipeline go back to rest."""
        self._hooks.remove()
        self._caches.close()
        super().close()

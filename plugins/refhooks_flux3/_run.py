"""The state of one run: prompts, noise, and the way through the transformer and the VAE."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.modular_pipelines.flux3.encoders import Flux3VaeEncoderStep
from diffusers.utils.torch_utils import randn_tensor

from refhooks.families import FlowRun, Joiner, LayerHooks, is_compiled
from refhooks_flux3._attention import StreamProcessors
from refhooks_flux3._places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Branch, Context, Inputs, Size, Tokens
    from refhooks.attention import GroupEdit

    Filled = Sequence[tuple[int, Tokens]]

_GRAPHS = 64  # of a compiled block


class Flux3Run(FlowRun):
    """One run on FLUX.3: text, target, then the references."""

    def __init__(self, family: Any, **options: Any) -> None:
        super().__init__(family, **options)
        transformer = self.pipe.transformer
        self.places = Places(self.grid, self.grids, self.pipe.config.image_rope_scale, self.device)
        self.joiner = Joiner()
        self.layers = LayerHooks(transformer, family.input_projection)
        self.positions = Places.positions
        self.processors: StreamProcessors | None = None
        self.record = False
        self._none: Tensor | None = None
        self._limit = contextlib.ExitStack()
        self._shares: list[Tensor] = []

    def draw(self, seeds: Sequence[int]) -> Tensor:
        """Return the noise of each seed ``[B,T,C]``, drawn in float32 whatever the run's dtype."""
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        shape = self.noise_shape(len(seeds))
        noise = randn_tensor(shape, generator=generators, device=self.device, dtype=torch.float32)
        return self.pack(noise.to(self.dtype))

    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return the VAE's mode, normalised and packed, ``[1,R,C]``.

        A picture of the size at which the only reference is kept whole is filled up at its edges
        with its reflection; one of the size to which several are cut is cut at the centre; for any
        other size it is resized.
        """
        processor, vae = self.pipe.image_processor, self.pipe.vae
        if self.family.whole_size(picture) == size:
            pixels = processor.preprocess(picture, resize_mode="fill")[0]
        elif self.family.cut_size(picture) == size:
            pixels = processor.preprocess(picture, resize_mode="crop")[0]
        else:
            pixels = VaeImageProcessor.preprocess(processor, picture, size.height, size.width)
        latents = vae.encode(pixels.to(self.device, vae.dtype)).latent_dist.mode()
        latents = Flux3VaeEncoderStep._patchify_latents(latents)  # [1,C,rows,columns]
        mean = vae.bn.running_mean.view(1, -1, 1, 1).to(self.device, vae.dtype)
        variance = vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps
        latents = (latents - mean) / torch.sqrt(variance).to(self.device, vae.dtype)
        return self.pack(latents).to(self.dtype)

    def prepare(self, *, attention: bool, record: bool) -> None:
        """Put on what holds for the whole run, and let compiled blocks have their graphs.

        Raises:
            InputError: The model's attention is not the stock one, or runs in parallel.
        """
        transformer = self.pipe.transformer
        if any(map(is_compiled, transformer.single_transformer_blocks)):
            self._limit.enter_context(torch._dynamo.config.patch(recompile_limit=_GRAPHS))
        self.record = record
        if attention or record:
            self.processors = StreamProcessors(transformer, record=record)
            self.processors.install()

    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Run the transformer on target and filled slots, and return the target's velocity."""
        if self.processors is not None:
            self.processors.plan(self.layout(inputs), edits, self.device)
        self.layers.use(inputs)
        velocity = self._forward(ctx, inputs)
        self.layers.rest()
        if self.processors is not None:
            self.processors.rest()
            if self.record and branch.name == "cond":
                self._shares.append(self.processors.recorded(len(self.grids)))
        return velocity

    def _forward(self, ctx: Context, inputs: Inputs) -> Tensor:
        """Call the transformer as the blocks do; a flow map is told where the step goes to."""
        batch, target = inputs.target.shape[0], inputs.target
        filled = [(slot, it) for slot, it in enumerate(inputs.slots) if it is not None]
        options: dict[str, Any] = {}
        if filled:
            tokens = [it for _, it in filled]
            options["image_cond_hidden_states"] = self._joined(target, tokens).to(self.dtype)
            options["image_cond_ids"] = self.places.of(filled)
        if self.pipe.transformer.config.flow_map:
            after = torch.zeros_like(ctx.t) if ctx.t_next is None else ctx.t_next
            options["target_timestep"] = (after / 1000).expand(batch).to(self.dtype)
        self.pipe._current_timestep = ctx.t
        made: Tensor = self.pipe.transformer(
            hidden_states=target.to(self.dtype),
            timestep=(ctx.t / 1000).expand(batch).to(self.dtype),
            encoder_hidden_states=inputs.text.embeds,
            txt_ids=inputs.text.ids,
            img_ids=self.places.of_target(inputs.keep),
            return_dict=False,
            **options,
        )[0]
        return made

    def _joined(self, target: Tensor, tokens: Sequence[Tokens]) -> Tensor:
        """The references' tokens in one sequence, ``[B,R,C]``."""
        if self._none is None or len(self._none) != len(target):
            self._none = target.new_empty(len(target), 0, target.shape[2])
        return self.joiner.join(self._none, tokens)

    def recorded(self) -> Tensor | None:
        """Return the attention shares of every step, ``[N,blocks,1+references,B]``."""
        return torch.stack(self._shares) if self._shares else None

    def close(self) -> None:
        """Take the hooks off, let an offloaded pipeline go back to rest."""
        self.layers.remove()
        self.joiner.clear()
        self._limit.close()
        if self.processors is not None:
            self.processors.remove()
        super().close()

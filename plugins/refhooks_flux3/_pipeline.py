"""FLUX.3 as a pipeline: what holds its components, as diffusers has no class for it."""

from __future__ import annotations

from typing import Any, ClassVar

from diffusers import DiffusionPipeline
from diffusers.loaders import Flux3LoraLoaderMixin

from refhooks import ModelError


class Flux3Pipeline(DiffusionPipeline, Flux3LoraLoaderMixin):  # type: ignore[misc]  # untyped
    """The components of a ``Flux3ModularPipeline``, with what its blocks state.

    It has what editors use of a pipeline (devices, offloading, LoRA, the progress bar), and no
    ``__call__``: the blocks run without refhooks.

    Args:
        scheduler: With its constant shift.
        vae: That of FLUX.2.
        text_encoder: Qwen3-VL.
        tokenizer: Its processor.
        transformer: Of the base model, or distilled to a flow map.
        image_processor: Sizes references, and cuts them or fills them up.
        pad_multiple: Prompts are padded to a multiple of so many tokens, which the model reads.
        max_sequence_length: Tokens of a prompt at most.
        text_encoder_out_layers: Of the text encoder, that are read.
        image_rope_scale: Of rows and columns in the position ids.
        guider: That of the blocks, which only a flow map goes without; it is not kept.
        prompt_upsampler: None may be there.

    Raises:
        ModelError: It has an upsampler of prompts, or blocks that are not for its transformer.
    """

    model_cpu_offload_seq: ClassVar[str] = "text_encoder->transformer->vae"

    def __init__(
        self,
        scheduler: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        transformer: Any,
        image_processor: Any,
        pad_multiple: int = 80,
        max_sequence_length: int = 8192,
        text_encoder_out_layers: tuple[int, ...] = (4, 8, 12, 16, 20, 24, 28, 32),
        image_rope_scale: float = 0.5,
        guider: Any = None,
        prompt_upsampler: Any = None,
    ) -> None:
        _check(transformer, guider, prompt_upsampler)
        super().__init__()
        self.register_modules(
            scheduler=scheduler, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer,
            transformer=transformer, image_processor=image_processor,
        )  # fmt: skip
        self.register_to_config(
            pad_multiple=pad_multiple,
            max_sequence_length=max_sequence_length,
            text_encoder_out_layers=tuple(text_encoder_out_layers),
            image_rope_scale=image_rope_scale,
        )
        self.vae_scale_factor = 2 ** (len(vae.config.block_out_channels) - 1)


def _check(transformer: Any, guider: Any, prompt_upsampler: Any) -> None:
    if prompt_upsampler is not None:
        raise ModelError(
            "an editor encodes prompts as they are given, and would leave out the prompt upsampler"
            " of this FLUX.3; unload it (pipe.update_components(prompt_upsampler=None)), and give"
            " what it writes as the prompt"
        )
    if bool(transformer.config.flow_map) != (guider is None):
        kind, other = "a flow map", "Flux3DistilledModularPipeline"
        if not transformer.config.flow_map:
            kind, other = "no flow map", "Flux3ModularPipeline"
        raise ModelError(
            f"the transformer of this FLUX.3 is {kind}, for which its blocks are not made; use"
            f" {other}"
        )

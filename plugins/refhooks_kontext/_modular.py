"""FLUX.1 Kontext of the components of a modular pipeline."""

from __future__ import annotations

from typing import Any

from diffusers import FluxKontextPipeline

from refhooks import ModelError


def kontext(
    scheduler: Any,
    vae: Any,
    text_encoder: Any,
    tokenizer: Any,
    text_encoder_2: Any,
    tokenizer_2: Any,
    transformer: Any,
) -> Any:
    """Return the pipeline.

    Raises:
        ModelError: Guidance is no input of the transformer; the blocks then run without any.
    """
    if not transformer.config.guidance_embeds:
        raise ModelError(
            "the transformer of this FluxKontextModularPipeline has no guidance among its inputs"
            " (guidance_embeds=false), for which its blocks have no second pass either; make a"
            " FluxKontextPipeline of its components, whose guidance is a second pass"
        )
    return FluxKontextPipeline(
        scheduler, vae, text_encoder, tokenizer, text_encoder_2, tokenizer_2, transformer
    )

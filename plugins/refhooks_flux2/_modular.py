"""FLUX.2 dev of the components of a modular pipeline."""

from __future__ import annotations

from typing import Any

from diffusers import Flux2Pipeline
from diffusers.modular_pipelines.flux2.encoders import Flux2TextEncoderStep


def dev(scheduler: Any, vae: Any, text_encoder: Any, tokenizer: Any, transformer: Any) -> Any:
    """Return the pipeline, with the system message of the blocks: the stock one breaks a line."""
    pipe = Flux2Pipeline(scheduler, vae, text_encoder, tokenizer, transformer)
    pipe.system_message = Flux2TextEncoderStep.DEFAULT_SYSTEM_MESSAGE
    return pipe

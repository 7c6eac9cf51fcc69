"""Prompts and the picture through LongCat's text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as stock

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"


def words(pipe: Any, prompt: str) -> list[int]:
    """Return the tokens of a prompt: what stands in quotation marks is read letter by letter."""
    parts = [
        part
        for text, quoted in stock.split_quotation(prompt)
        for part in (text if quoted else [text])
    ]
    own: list[list[int]] = [
        pipe.tokenizer(part, add_special_tokens=False)["input_ids"] for part in parts
    ]
    return [token for part in own for token in part]


def encode(pipe: Any, prompt: str, picture: Image | None) -> Tensor:
    """Return an encoded prompt, filled up to the pipeline's length, ``[1,S,E]``.

    Args:
        pipe: The pipeline.
        prompt: As the user gave it, of no more tokens than the pipeline reads.
        picture: As the text encoder is given it; ``None``: it sees none, which the stock pipeline
            cannot do: the template is read without its place.
    """
    if picture is not None:
        return pipe._encode_prompt([prompt], picture)  # type: ignore[no-any-return]
    template = pipe.prompt_template_encode_prefix.replace(PLACEHOLDER, "")
    head, tail = (
        torch.tensor([pipe.tokenizer(text, add_special_tokens=False)["input_ids"]])
        for text in (template, pipe.prompt_template_encode_suffix)
    )
    own = pipe.tokenizer.pad(
        {"input_ids": [words(pipe, prompt)]}, max_length=pipe.tokenizer_max_length,
        padding="max_length", return_attention_mask=True, return_tensors="pt",
    )  # fmt: skip
    ids = torch.cat([head, own.input_ids, tail], dim=1)
    seen = torch.cat([torch.ones_like(head), own.attention_mask, torch.ones_like(tail)], dim=1)
    device = pipe._execution_device
    made = pipe.text_encoder(
        input_ids=ids.to(device), attention_mask=seen.to(device), output_hidden_states=True
    )
    return made.hidden_states[-1][:, head.shape[1] : -tail.shape[1]]  # type: ignore[no-any-return]

"""Prompts and pictures through the pipeline's text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from refhooks import Size

PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"


def length(pipe: Any, text: str, seen: Sequence[Size]) -> int:
    """Return how many tokens a filled-in template has behind its head.

    Args:
        pipe: The pipeline.
        text: The filled-in template.
        seen: Sizes at which the text encoder is given the pictures of its placeholders.
    """
    ids: list[int] = pipe.processor.tokenizer(text, verbose=False)["input_ids"]
    images = pipe.processor.image_processor
    places: list[int] = [  # the {} is for transformers 5.3, whose default fails
        images.get_number_of_image_patches(size.height, size.width, {}) // images.merge_size**2
        for size in seen
    ]
    return len(ids) + sum(places) - len(places) - int(pipe.prompt_template_encode_start_idx)


def encode(
    pipe: Any, texts: Sequence[str], pictures: Sequence[Sequence[Image]], copies: int
) -> Text:
    """Encode whole templates, each with its pictures.

    The stock pipelines' ``encode_prompt`` numbers pictures itself and always shows all of them;
    this takes the template as it should be read, and is equal to theirs where both apply.

    Args:
        pipe: The pipeline.
        texts: The filled-in templates; each has one placeholder a picture.
        pictures: Those of each text, in the order of its placeholders.
        copies: How often each text is repeated in the batch.

    Returns:
        Embeddings ``[texts·copies,S,E]`` without the template's head, with a mask if any is padded.
    """
    device = pipe._execution_device
    tokens = pipe.processor(
        text=list(texts),
        images=[picture for shown in pictures for picture in shown] or None,
        padding=True,
        return_tensors="pt",
    ).to(device)
    outputs = pipe.text_encoder(
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"],
        pixel_values=tokens.get("pixel_values"),
        image_grid_thw=tokens.get("image_grid_thw"),
        output_hidden_states=True,
    )
    head = pipe.prompt_template_encode_start_idx
    rows = [
        row[head:]
        for row in pipe._extract_masked_hidden(outputs.hidden_states[-1], tokens["attention_mask"])
    ]
    embeds = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [texts,S,E]
    if pipe.text_encoder.dtype.itemsize > 1:  # its weights may rest in 8 bits
        embeds = embeds.to(pipe.text_encoder.dtype)
    embeds = embeds.to(device)
    mask = _mask([len(row) for row in rows], embeds)
    return Text(
        embeds=embeds.repeat_interleave(copies, dim=0),
        mask=None if mask is None else mask.repeat_interleave(copies, dim=0),
    )


def _mask(lengths: Sequence[int], embeds: torch.Tensor) -> torch.Tensor | None:
    """1 for a token, 0 for padding, as the stock pipelines give it; ``None`` without padding."""
    longest = max(lengths)
    if min(lengths) == longest:
        return None
    places = torch.arange(longest, device=embeds.device)
    return (places < torch.tensor(lengths, device=embeds.device)[:, None]).long()  # [texts,S]

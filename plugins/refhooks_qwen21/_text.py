"""Prompts and pictures through the pipeline's text encoder; what is kept is the text alone.

The picture's own places of the encoded prompt are never read by the transformer: it has the VAE's
tokens there. ``Text.places`` says where.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from refhooks import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Size

PICTURE = "<|image_pad|>"
OPEN, SHUT = "<|vision_start|>", "<|vision_end|>"
PLACEHOLDER = f"<image1>{OPEN}{PICTURE}{SHUT}"
NEGATIVE = 1024  # positions below 0 that the embedding's tables end with


def positions(embedding: Any) -> int:
    """Return how many positions from 0 up the transformer's embedding has.

    Behind them its tables go on with those below 0, which the stock forward takes without a word.
    """
    return int(embedding.freqs[0].shape[0]) - NEGATIVE


def entries(references: Sequence[Size | None], shown: Sequence[int]) -> list[int]:
    """Return the numbers, from 1, of the references that have a place in the text."""
    with_tokens = {slot + 1 for slot, size in enumerate(references) if size is not None}
    return sorted(with_tokens | set(shown))


def filled(pipe: Any, prompt: str, numbers: Sequence[int], shown: Sequence[int]) -> str:
    """Return the template with a prompt, and a place for each reference.

    One that the text encoder is not shown has the marks of its place, and nothing between them.
    """
    text = prompt or " "
    if not numbers:
        return str(pipe.prompt_template_t2i.format(text))
    places = " ".join(
        f"<image{number}>{OPEN}{PICTURE if number in shown else ''}{SHUT}" for number in numbers
    )
    return str(pipe.prompt_template_ti2i.replace(PLACEHOLDER, places).format(text))


def length(pipe: Any, text: str) -> int:
    """Return how many tokens of text a filled template has behind the system's part."""
    ids: list[int] = pipe.processor.tokenizer(text, verbose=False)["input_ids"]
    return len(ids) - int(pipe._drop_idx) - ids.count(pipe._img_token_id)


def flat(pipe: Any, picture: Image.Image, size: Size) -> Image.Image:
    """Return an RGBA picture as the text encoder is given it: resized, then laid on white."""
    resized = pipe.image_processor.resize(picture, width=size.width, height=size.height)
    white = Image.new("RGB", resized.size, (255, 255, 255))
    white.paste(resized, mask=resized.getchannel("A"))
    return white


def encode(
    pipe: Any,
    prompts: Sequence[str],
    pictures: Sequence[Sequence[Image.Image]],
    shown: Sequence[int],
    references: Sequence[Size | None],
    copies: int,
) -> Text:
    """Encode prompts, each with its pictures.

    The stock ``encode_prompt`` numbers pictures itself and always shows all of them; this is equal
    to it where both apply.

    Args:
        pipe: The pipeline.
        prompts: One or more.
        pictures: Those of each prompt, as :func:`flat` gives them.
        shown: Their numbers.
        references: Size of each reference's tokens; ``None``: it gives none.
        copies: How often each text is repeated in the batch.

    Returns:
        Embeddings ``[prompts·copies,S,E]`` of the text behind the system's part, with a mask if any
        is padded, and the place of each reference.
    """
    numbers = entries(references, shown)
    tokens = pipe.processor(
        text=[filled(pipe, prompt, numbers, shown) for prompt in prompts],
        images=[picture for own in pictures for picture in own] or None,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    ).to(pipe._execution_device)
    hidden = _hidden_states(pipe, tokens)
    kept = [
        (ids[valid][pipe._drop_idx :], states[valid][pipe._drop_idx :])
        for ids, states, valid in zip(
            tokens["input_ids"], hidden, tokens["attention_mask"].bool(), strict=True
        )
    ]
    ids, _ = kept[0]
    rows = [states[own != pipe._img_token_id] for own, states in kept]
    embeds = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [prompts,S,E]
    mask = _mask([len(row) for row in rows], embeds)
    return Text(
        embeds=embeds.repeat_interleave(copies, dim=0),
        mask=None if mask is None else mask.repeat_interleave(copies, dim=0),
        places=_places(pipe, ids[ids != pipe._img_token_id], numbers, len(references)),
    )


def _hidden_states(pipe: Any, tokens: Any) -> Tensor:
    """The last layer's output before the final norm, ``[prompts,L,E]``.

    transformers from 5.0 on gives it after the norm, so that is taken off for this call.
    """
    options = {
        name: tokens[name]
        for name in ("pixel_values", "image_grid_thw", "mm_token_type_ids")
        if name in tokens
    }
    inner = pipe.text_encoder.model
    norm = getattr(inner, "language_model", inner).norm
    thread = threading.get_ident()
    handle = norm.register_forward_hook(
        lambda _module, args, _output: args[0] if threading.get_ident() == thread else None
    )
    try:
        outputs = pipe.text_encoder(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            output_hidden_states=True,
            **options,
        )
    finally:
        handle.remove()
    return outputs.hidden_states[-1]  # type: ignore[no-any-return]


def _places(pipe: Any, ids: Tensor, numbers: Sequence[int], references: int) -> tuple[int, ...]:
    """How many tokens of text stand before each reference; the first prompt tells it for all."""
    mark = pipe.processor.tokenizer.convert_tokens_to_ids(OPEN)
    opened = (ids == mark).nonzero()[:, 0].tolist()
    places = dict(zip(numbers, opened, strict=True))
    return tuple(int(places.get(slot + 1, -1)) + 1 for slot in range(references))


def _mask(lengths: Sequence[int], embeds: Tensor) -> Tensor | None:
    """1 for a token, 0 for padding; ``None`` without padding."""
    longest = max(lengths)
    if min(lengths) == longest:
        return None
    places = torch.arange(longest, device=embeds.device)
    return (places < torch.tensor(lengths, device=embeds.device)[:, None]).long()  # [prompts,S]

"""The toy model's tokenizer: byte-level BPE that knows toyland's words and Qwen's template."""

from __future__ import annotations

import json
from functools import cache
from typing import Final

from diffusers import QwenImageEditPlusPipeline
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from refhooks_toy._edits import EDIT_KINDS, make_edit

SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PREFIX: Final = 64
"""Tokens of the template before the prompt; the Edit pipelines drop them."""


@cache
def template() -> str:
    """Return the text that the pipeline wraps around a prompt (`{}`)."""
    bare = QwenImageEditPlusPipeline(None, None, None, None, None, None)
    return str(bare.prompt_template_encode)


def new_tokenizer() -> Qwen2Tokenizer:
    """Train the tokenizer on the template and on the wording of toyland's edits.

    Every word of either becomes one token.
    """
    prompts = [make_edit(kind, seed).prompt for kind in EDIT_KINDS for seed in range(3000)]
    pictures = ["Picture 1: Picture 2: Picture 3: Picture 4: "]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    plain = template()
    for token in SPECIAL:
        plain = plain.replace(token, "")
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=1,
        show_progress=False,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    inner.train_from_iterator([plain.replace("{}", ""), *pictures, *prompts], trainer)
    model = json.loads(inner.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Qwen2Tokenizer(vocab=model["vocab"], merges=merges, model_max_length=1024)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL[1:])})
    return tokenizer

"""Small tokenizers and text encoders for tiny models of a family, built without a network."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["byte_tokenizer", "letter_tokenizer", "qwen_text_encoder"]


def byte_tokenizer(marks: Sequence[str]) -> Any:
    """Return a Qwen tokenizer that makes a token of each byte, and of each mark.

    Args:
        marks: Special tokens of the template; the first pads.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*marks, *letters])}
    made = Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=16384)
    made.add_special_tokens({"additional_special_tokens": list(marks[1:])})
    return made


def letter_tokenizer(length: int = 512, chat_template: str | None = None) -> Any:
    """Return a tokenizer that makes a token of each letter of ASCII; 0 pads, 1 ends.

    Args:
        length: The most tokens that its model reads.
        chat_template: In Jinja.
    """
    vocabulary = {text: number for number, text in enumerate(["<pad>", "</s>", *string.printable])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="</s>"))  # noqa: S106  no password
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), behavior="isolated")
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", model_max_length=length,  # noqa: S106
    )  # fmt: skip
    made.chat_template = chat_template
    return made


def qwen_text_encoder(letters: Any, width: int = 32, layers: int = 1) -> Any:
    """Return a random Qwen2.5-VL with a vision tower of one layer.

    Args:
        letters: Its tokenizer.
        width: Of its hidden states, a multiple of 32.
        layers: Of the language model.
    """
    ids = letters.convert_tokens_to_ids
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(letters), "hidden_size": width, "intermediate_size": width,
                "num_hidden_layers": layers, "num_attention_heads": 2, "num_key_value_heads": 2,
                "rope_parameters": {
                    "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3],
                },
                "bos_token_id": None, "eos_token_id": ids("<|im_end|>"),
                "pad_token_id": ids("<|endoftext|>"),
            },
            vision_config={
                "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
                "out_hidden_size": width, "fullatt_block_indexes": [0],
            },
            image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
            vision_start_token_id=ids("<|vision_start|>"),
            vision_end_token_id=ids("<|vision_end|>"),
        )
    )  # fmt: skip

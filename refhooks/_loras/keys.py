"""What the keys of a file mean: the layer that each one names, and which part of a change it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from refhooks._loras.header import Header

_NAMED = r"(?:\.[^.]+)?"  # peft's name of the adapter, which some trainers leave in
# Tried in this order on the end of a key; what is in front of it names the layer.
_PARTS = (
    (rf"\.lora_A(?:{_NAMED}\.weight)?|[._]lora(?:_linear_layer)?[._]down\.weight", "down"),
    (rf"\.lora_B(?:{_NAMED}\.weight)?|[._]lora(?:_linear_layer)?[._]up\.weight", "up"),
    (rf"\.lora_B{_NAMED}\.bias|[._]lora[._]up\.bias", "bias"),
    (r"\.lora_A\.[^.]+", "down"),
    (r"\.lora_B\.[^.]+", "up"),
    (r"\.alpha|\.lora_alpha|\.network_alpha|[._]lora\.alpha", "alpha"),
    (rf"\.dora_scale|\.lora_magnitude_vector{_NAMED}(?:\.weight)?", "magnitude"),
    (r"\.diff_b", "bias_difference"),
    (r"\.diff", "difference"),
    *((rf"\.{name}{_NAMED}", name)
      for name in ("lokr_w1_a", "lokr_w1_b", "lokr_w1", "lokr_w2_a", "lokr_w2_b", "lokr_w2",
                   "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")),
)  # fmt: skip
_ENDS = re.compile("|".join(f"(?P<p{number}>(?:{end})$)" for number, (end, _) in enumerate(_PARTS)))
# The first of these that a key ends with makes the whole file one that is refused.
_REFUSED = (
    (r"\.(?:lokr_t2|hada_t[12]|lora_mid\.weight)", "a Tucker decomposition (lora_mid, lokr_t2)"),
    (r"\.(?:oft_blocks|oft_diag|oft_R(?:\..+)?|boft_.+)", "OFT"),
    (r"\.(?:on_input|ia3_l(?:\..+)?)", "IA3"),
    (r"\.(?:a1|a2|b1|b2|bm1|bm2)\.weight", "GLoRA"),
    (r"\.vera_lambda_[bd](?:\..+)?|\.vera_[AB](?:\..+)?", "VeRA"),
    (r"\.lora_embedding_[AB](?:\..+)?", "a LoRA on an embedding"),
    (r"\.(?:set_weight|reshape_weight)", "layers of another shape (reshape_weight)"),
    (r"\.(?:lora_[AB]|lora_E|lora_ranknum)\.ranknum|\.lora_E(?:\..+)?", "AdaLoRA"),
)  # fmt: skip
_TEXT = re.compile(
    r"(?:base_model\.model\.)?(?:(?:lora|lycoris)_)?"
    r"(?:text_encoders?|text_model|te|conditioner|cond_stage_model|clip)\d*[._]"
)
_INSIDE = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|processor)(?:\.|$)")


@attrs.frozen
class Keys:
    """The keys of a file, sorted by what they mean.

    Attributes:
        layers: Key of each part of a change, by what the file calls the layer.
        text: Keys of text encoders.
        others: Keys that are no part of a change.
    """

    layers: Mapping[str, Mapping[str, str]]
    text: tuple[str, ...]
    others: tuple[str, ...]


def sort_keys(header: Header) -> Keys:
    """Sort the keys of a file.

    Raises:
        InputError: The file is of a kind that is not applied, or nothing in it is a LoRA's.
    """
    layers: dict[str, dict[str, str]] = {}
    text: list[str] = []
    others: list[str] = []
    for key in header.entries:
        stem, part = _split(key)
        if _TEXT.match(key):
            text.append(key)
        elif part is None:
            _check_kind(key, header.label)
            others.append(key)
        elif part in layers.setdefault(stem, {}):
            raise InputError(f"{header.label}: holds {part} of {stem[:80]} twice")
        else:
            layers[stem][part] = key
    if not layers:
        raise InputError(f"{header.label}: {_nothing(header, text)}")
    return Keys(layers, tuple(text), tuple(others))


def some(names: Iterable[str], most: int = 3) -> str:
    """Return a few of the names, and how many more there are."""
    shown = [name if len(name) <= 80 else f"{name[:77]}..." for name in names]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def _split(key: str) -> tuple[str, str | None]:
    match = _ENDS.search(key)
    if match is None or match.start() == 0:
        return key, None
    part = _PARTS[int(str(match.lastgroup)[1:])][1]
    return _INSIDE.sub("", key[: match.start()]).rstrip("."), part


def _check_kind(key: str, label: str) -> None:
    for end, kind in _REFUSED:
        if re.search(rf"(?:{end})$", key):
            raise InputError(
                f"{label}: is of the kind {kind}, which is not applied ({key[:80]}); LoRA, LoKr,"
                " LoHa and DoRA are"
            )


def _nothing(header: Header, text: list[str]) -> str:
    count = len(header.entries)
    if len(text) == count:
        return f"all of its {count} tensors are for a text encoder, which is not changed"
    return (
        f"none of its {count} tensors is named as a LoRA's ({some(header.entries, 2)}); nothing of"
        " it can fit"
    )

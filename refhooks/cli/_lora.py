"""LoRA files: checked before the model loads, then added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._loras.header import read_header
from refhooks._loras.keys import sort_keys
from refhooks.cli._parse import parse_lora

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._editor import Editor
    from refhooks._loras.header import Header
    from refhooks._loras.keys import Keys


@attrs.frozen
class Lora:
    """A LoRA file, as far as its header tells it, with its scale; 1 is as it was trained."""

    header: Header
    keys: Keys
    scale: float


def check_loras(texts: Sequence[str]) -> tuple[Lora, ...]:
    """Return the LoRAs that ``--lora`` names.

    Raises:
        InputError: A file is missing, is no safetensors file or none of a LoRA, or a scale is no
            number.
        ModelError: The package that LoRAs need is not installed.
    """
    return tuple(_check(text) for text in texts)


def _check(text: str) -> Lora:
    from refhooks._loras.injecting import check_peft  # noqa: PLC0415  imports torch, a second

    path, scale = parse_lora(text)
    header = read_header(path, f"--lora {path}")
    check_peft(header.label)
    return Lora(header, sort_keys(header), scale)


def add_loras(editor: Editor, loras: Sequence[Lora]) -> None:
    """Add LoRAs to a model, each with its scale; all of them act.

    Raises:
        InputError: A file holds NaN, or has changed since it was checked.
        ModelError: It was made for another model.
    """
    from refhooks._loras.adding import add_file  # noqa: PLC0415  imports torch, a second
    from refhooks._loras.places import uncompiled  # noqa: PLC0415  likewise

    for lora in loras:
        model = uncompiled(editor.family.transformer)
        add_file(editor.pipe, model, lora.header, lora.scale, keys=lora.keys)

"""Write the trained parts as a pipeline folder, and a sheet of held-out edits beside it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from safetensors.torch import save_file

from refhooks_toy._model import assemble
from refhooks_toy._weights import BASE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import AutoencoderKLQwenImage

    from refhooks_toy._text import Words
    from refhooks_toy._toy import Toy

PROJECTION = "concat_projection.safetensors"


def export(
    folder: Path,
    vae: AutoencoderKLQwenImage,
    toy: Toy,
    words: Words,
    *,
    note: str,
    say: Callable[[str], None],
) -> None:
    """Write `folder` anew: what `save_pretrained` writes, and the concat projection."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    assemble(vae, toy.transformer, toy.text_encoder, words.tokenizer).save_pretrained(fresh)
    weight = toy.projection.weight.detach().contiguous()
    metadata = {
        "family": "qwen-image-edit-plus",
        "base": BASE,
        "projection": json.dumps({"shape": list(weight.shape), "channels": "packed latents"}),
        "note": note,
    }
    save_file({"projection.weight": weight}, fresh / PROJECTION, metadata)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    say(f"exported to {folder} at {note}")

"""The training pairs, encoded beforehand: latents, small pictures for the vision tower, tokens."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES
from refhooks_toy._pairs import make_pairs
from refhooks_toy._text import Words, padded, seen
from refhooks_toy._vae import encoder, single_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import AutoencoderKLQwenImage

MIX: Final = {
    "color-change": 1.6,
    "style-transfer": 0.9,
    "object-swap": 3.2,
    "add-elements": 1.6,
    "remove-elements": 1.2,
    "lighting-change": 0.7,
    "expression-change": 1.5,
    "background-swap": 1.5,
    TWO_PICTURES: 1.6,
}
"""How often each kind of edit is trained on: local ones are learnt last, so more often."""

PROMPT: Final = 20
"""The most tokens of a prompt and what follows it."""

_CHUNK: Final = 256  # edits drawn and encoded at once


@attrs.frozen(eq=False)
class Pool:
    """`N` encoded edits.

    Latents `[N, 64, 64]` (tokens, channels) of source, right answer and Picture 2 (only for the
    edits that have one: `extra_row` is its row or -1), the pictures as the vision tower sees them,
    prompt ids and their mask `[N, PROMPT]`, the changed tokens `[N, 64]` and the index of each
    edit's kind `[N]`.
    """

    source: Tensor
    right: Tensor
    extra: Tensor
    seen: Tensor
    extra_seen: Tensor
    extra_row: Tensor
    ids: Tensor
    mask: Tensor
    changed: Tensor
    kind: Tensor

    @property
    def two(self) -> Tensor:
        """The rows that have a Picture 2."""
        return (self.kind == EDIT_KINDS.index(TWO_PICTURES)).nonzero()[:, 0]

    @property
    def one(self) -> Tensor:
        """The rows that have none."""
        return (self.kind != EDIT_KINDS.index(TWO_PICTURES)).nonzero()[:, 0]


def load_pool(
    path: Path,
    count: int,
    vae: AutoencoderKLQwenImage,
    words: Words,
    say: Callable[[str], None],
    *,
    compiled: bool = True,
) -> Pool:
    """Load the pool in `path`, or make it there from `count` edits with training seeds."""
    if not path.exists():
        random = Random(0)  # noqa: S311 - scenes are no secrets
        kinds = random.choices(list(MIX), list(MIX.values()), k=count)
        encode = torch.compile(encoder(vae)) if compiled else encoder(vae)
        parts: list[dict[str, Tensor]] = []
        with single_frame(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, count, _CHUNK):
                chunk = kinds[start : start + _CHUNK]
                parts.append(_encoded(chunk, start, encode, words))
                if start % (_CHUNK * 32) == 0:
                    say(f"encoded {start + len(chunk)}/{count} edits")
        tensors = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        row = torch.full((count,), -1)
        has_extra = tensors["kind"] == EDIT_KINDS.index(TWO_PICTURES)
        row[has_extra] = torch.arange(int(has_extra.sum()))
        save_file({**tensors, "extra_row": row}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    return Pool(**load_file(path))


def _encoded(
    kinds: list[str], start: int, encode: Callable[[Tensor], Tensor], words: Words
) -> dict[str, Tensor]:
    pairs = make_pairs(kinds, range(start, start + len(kinds)))
    borrowed = [i for i, kind in enumerate(kinds) if kind == TWO_PICTURES]
    extra = pairs.extra[borrowed]
    blank = torch.from_numpy(pairs.extra)
    ids, mask = padded(words.ids(pairs.prompts, 0), PROMPT)
    changed = (
        functional.max_pool2d(torch.from_numpy(pairs.mask)[:, None].float(), 8).flatten(1).bool()
    )
    return {
        "source": encode(torch.from_numpy(pairs.source)).bfloat16(),
        "right": encode(torch.from_numpy(pairs.right)).bfloat16(),
        "extra": encode(blank)[borrowed].bfloat16(),
        "seen": seen(pairs.source),
        "extra_seen": seen(extra) if borrowed else torch.zeros(0, 56, 56, 3, dtype=torch.uint8),
        "ids": ids,
        "mask": mask,
        "changed": changed,
        "kind": torch.tensor([EDIT_KINDS.index(kind) for kind in kinds]),
    }

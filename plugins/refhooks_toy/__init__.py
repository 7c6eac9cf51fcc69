"""Toyland: procedural scenes, edits with known right answers, and a tiny edit model for them.

`import refhooks_toy` imports neither torch nor diffusers; `load_pipeline` does when called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import Checkpoint, EmbeddedModel, hookimpl
from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE, Edit, make_edit
from refhooks_toy._judge import judge, judge_prompt, judge_size
from refhooks_toy._pairs import HELD_OUT, Pairs, make_pairs
from refhooks_toy._samples import COMPANIONS, PROMPTS, SCENES
from refhooks_toy._scenes import SIZE, Face, Scene, Shape, random_scene
from refhooks_toy._weights import BASE, PROJECTION, SAMPLES, WEIGHTS, load_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from refhooks.score import Pair

__all__ = [
    "EDIT_KINDS",
    "HELD_OUT",
    "PROJECTION",
    "SAMPLES",
    "SIZE",
    "TWO_PICTURES",
    "WEIGHTS",
    "WHOLE_PICTURE",
    "Edit",
    "Face",
    "Pairs",
    "Scene",
    "Shape",
    "load_pipeline",
    "make_edit",
    "make_pairs",
    "random_scene",
]


def _find_samples() -> Sequence[Path]:
    return [SAMPLES / f"{name}.png" for name in SCENES]


def _companions() -> Mapping[str, Path]:
    return {name: SAMPLES / f"{sample}.png" for name, sample in COMPANIONS.items()}


def _make_pairs(count: int) -> Sequence[Pair]:
    from refhooks_toy._held_out import held_out  # noqa: PLC0415 - it imports torch

    return held_out(count)


def _faster(pipe: Any) -> AbstractContextManager[None]:
    from refhooks_toy._held_out import faster  # noqa: PLC0415 - it imports torch and diffusers

    return faster(pipe)


@hookimpl
def refhooks_models() -> list[EmbeddedModel]:
    """Register the embedded model `toy`."""
    return [
        EmbeddedModel(
            name="toy",
            description="A tiny Qwen-Image-Edit-Plus that knows toyland only; runs on any machine.",
            load=load_pipeline,
            checkpoint=Checkpoint(
                output=SIZE * SIZE,
                reference=SIZE * SIZE,
                vision=SIZE * SIZE,
                cfg=2.0,
                steps=16,
                judge=judge,
                judge_prompt=judge_prompt,
                judge_size=judge_size,
                base=BASE,
                files={"concat": PROJECTION},
            ),
            samples=_find_samples,
            companions=_companions,
            prompts=PROMPTS,
            pairs=_make_pairs,
            faster=_faster,
        )
    ]

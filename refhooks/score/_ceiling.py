"""The ceiling: what the autoencoder alone keeps of the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from refhooks._base.advice import silenced
from refhooks._base.pictures import load_picture
from refhooks._core.planning.strategy import Stage
from refhooks.batch import Job, edit_batch
from refhooks.hookspecs import hookimpl
from refhooks.score._cell import digest
from refhooks.score._edit import measure
from refhooks.score._pair import make_shot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._core.contract.methods import RunInfo
    from refhooks._core.contract.source import Source
    from refhooks._core.contract.values import Context
    from refhooks._editor import Editor
    from refhooks.score._pair import Pair
    from refhooks.score._store import Store

STEPS = 2  # the fewest that every released scheduler configuration takes
KEPT = "kept"  # what the names of measures begin with that have a ceiling


def ceiling_of(
    editor: Editor,
    pairs: Sequence[Pair],
    groups: Sequence[Sequence[int]],
    store: Store,
    base: str,
    without: Callable[[int], Image | None],
) -> dict[str, tuple[float | None, ...]]:
    """Return the measures of *kept* of what the autoencoder alone makes of each source.

    Args:
        editor: It encodes and decodes.
        pairs: Whose sources.
        groups: The places of those that run together.
        store: Pictures are kept there, and not made again.
        base: What a key begins with: the model.
        without: Gives the result without a reference at a place; ``None``: it is not known.

    Raises:
        RefhooksError: As for ``Editor.edit``.
    """
    values: dict[str, list[float | None]] = {}
    for group in groups:
        chosen = [pairs[place] for place in group]
        names = [pair.key for pair in chosen]
        keys = [digest([base, "coded", names, place]) for place in range(len(group))]
        if any(store.picture(key) is None for key in keys):
            for key, made in zip(keys, coded(editor, chosen), strict=True):
                store.keep_picture(key, made)
        for key, place in zip(keys, group, strict=True):
            picture = store.picture(key)
            if picture is None:
                continue  # somebody took it away
            for name, value in measure(make_shot(pairs[place], picture, without(place))).items():
                if name.startswith(KEPT):
                    values.setdefault(name, [None] * len(pairs))[place] = value
    return {name: tuple(row) for name, row in values.items()}


def coded(editor: Editor, pairs: Sequence[Pair]) -> tuple[Image, ...]:
    """Return what the autoencoder makes of the sources of one batch: encoded and decoded, no more.

    A run without a reference is led to the source's own latents in its last step, so that they are
    encoded and decoded as those of any edit are, whatever the family.

    Raises:
        RefhooksError: As for ``Editor.edit``.
    """
    jobs = [Job(load_picture(pair.source), pair.prompt, seed=pair.seed) for pair in pairs]
    none = Stage(editor.family.native, 0.0)
    with silenced():  # prompts may name a picture that is not there
        led = [_ToSource()]
        return edit_batch(editor, jobs, strategy=none, steps=STEPS, cfg=1.0, plugins=led).images


@attrs.frozen
class _ToSource:
    """A run plugin that ends every run on the source's latents."""

    name: ClassVar[str] = "to-source"

    def bind_run(self, run: RunInfo) -> object:
        assert run.source is not None  # noqa: S101  a job has a picture
        return _Led(run.source)


class _Led:
    def __init__(self, source: Source) -> None:
        self._source = source

    @hookimpl(trylast=True)
    def refhooks_velocity(self, ctx: Context, latents: Tensor) -> Tensor | None:
        if ctx.step.index + 1 < ctx.step.total:
            return None
        return (latents - self._source.latents) / ctx.step.sigma

"""Editing pairs in batches, and measuring what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._base.advice import silenced
from refhooks._base.pictures import load_picture
from refhooks._core.planning.strategy import Stage
from refhooks.batch import Job, edit_batch
from refhooks.score import _measures as measures_of
from refhooks.score import _perceived
from refhooks.score._card import MEASURES
from refhooks.score._cell import Settings
from refhooks.score._pair import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from refhooks._apps.editing.result import EditResult
    from refhooks._editor import Editor
    from refhooks.score._cell import Cell
    from refhooks.score._pair import Pair, Shot


def edit_pairs(
    editor: Editor,
    pairs: Sequence[Pair],
    cell: Cell,
    settings: Settings = Settings(),  # noqa: B008  frozen
    *,
    without: bool = False,
) -> tuple[Image, ...]:
    """Return the result of each pair, edited in the way of one cell, many at once.

    Args:
        editor: It runs the edits.
        pairs: What is edited.
        cell: How; its kinds do not count.
        settings: For what it leaves open.
        without: Edit without any reference instead, with the cell's steps, guidance and seed.

    Raises:
        RefhooksError: As for ``Editor.edit``.
    """
    whole = filled(editor, cell, settings)
    pictures: list[Any] = [None] * len(pairs)
    for group in grouped(pairs, settings.batch):
        result = edited(editor, [pairs[place] for place in group], whole, without=without)
        for place, picture in zip(group, result.images, strict=True):
            pictures[place] = picture
    return tuple(pictures)


def measure(shot: Shot) -> dict[str, float | None]:
    """Return the measures of one result, ``None`` where the pair lacks what one needs."""
    by_eye = _perceived.perceived()
    values: dict[str, float | None] = dict.fromkeys((*MEASURES, *by_eye))
    if shot.region is None:
        return values
    out, source = shot.out[None], shot.source[None]
    region = shot.region[None]
    whole = bool(region.all())
    if shot.right is not None:
        right = shot.right[None]
        values["done"] = float(measures_of.edit_done(out, source, right, region)[0])
        values["copied"] = float(measures_of.copied(out, source, right, region)[0])
        if whole:
            values["edges"] = float(measures_of.edges_kept(out, right)[0])
    if shot.without is not None and not whole:
        values["kept"] = float(measures_of.kept(out, shot.without[None], source, region)[0])
    return values | (_as_seen(shot, region, whole=whole) if by_eye else {})


def _as_seen(shot: Shot, region: Any, *, whole: bool) -> dict[str, float | None]:
    """Return *edit done* and *kept* by CIEDE2000 and SSIM, those that are defined."""
    values: dict[str, float | None] = {}
    out, source = shot.out[None], shot.source[None]
    if shot.right is not None:
        given = (out, source, shot.right[None], region)
        values["done_ciede2000"] = float(_perceived.done_by_colour(*given)[0])
        values["done_ssim"] = float(_perceived.done_by_structure(*given)[0])
    if whole:
        return values
    values["kept_ssim"] = float(_perceived.kept_by_structure(out, source, region)[0])
    if shot.without is not None:
        colour = _perceived.kept_by_colour(out, shot.without[None], source, region)
        values["kept_ciede2000"] = float(colour[0])
    return values


def filled(editor: Editor, cell: Cell, settings: Settings) -> Cell:
    return cell.within(settings, editor.family.default_steps, editor.family.default_cfg)


def edited(editor: Editor, pairs: Sequence[Pair], cell: Cell, *, without: bool) -> EditResult:
    """One batch; ``cell`` leaves nothing open."""
    jobs = [
        Job(
            load_picture(pair.source),
            pair.prompt,
            seed=pair.seed + cell.seed,
            references=() if without else [load_picture(it) for it in pair.references],
        )
        for pair in pairs
    ]
    if without:
        none = Stage(editor.family.native, 0.0)
        with silenced():  # prompts may name a picture that is not there
            return edit_batch(editor, jobs, strategy=none, steps=cell.steps, cfg=cell.cfg)
    return edit_batch(
        editor,
        jobs,
        strategy=cell.strategy,
        others=cell.others,
        steps=cell.steps,
        cfg=cell.cfg,
        denoise=cell.denoise,
        plugins=cell.plugins,
        record_attention=cell.attention,
    )

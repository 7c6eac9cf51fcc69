"""Binding what takes part in a run: each stage's method to its reference, then the plugins."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from PIL import Image

from refhooks._attending.partial import sees_parts
from refhooks._base.memory import explained, out_of_memory
from refhooks._base.pictures import FITS
from refhooks._core.contract.methods import BoundReference, RunInfo, edits_prefix
from refhooks._core.contract.source import Source
from refhooks._core.masks.layout import Grids, compositor_of, warn_of_no_reach
from refhooks._core.models.family_calls import named_family
from refhooks._core.planning.inside import planned_of
from refhooks._core.plugins.attribution import naming
from refhooks._core.plugins.labels import heading, is_description
from refhooks._core.running.checks import Contract
from refhooks._core.running.hooks import BoundPlugin, Hooks, close_all
from refhooks._parts.autoencoder import check_latents
from refhooks._parts.autoencoder import decode as decode_latents
from refhooks._parts.autoencoder import encode as encode_picture
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.drift import Drift
    from refhooks._core.contract.family import Family, FamilyRun
    from refhooks._core.contract.inside import Inside
    from refhooks._core.contract.values import Context
    from refhooks._core.masks.compositing import MaskCompositor
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.input_pictures import Encode, InputPicture
    from refhooks._core.plugins.registry import Registry

    Compositors = Mapping[tuple[int, int], MaskCompositor]


def bind_source(family: Family, opened: FamilyRun, plan: Plan) -> Source | None:
    """Return the picture being edited as the run uses it; ``None`` where there is none."""
    source = plan.source
    if source is None:
        return None

    first = bool(plan.references) and source.pictures is plan.references[0].opened.pictures
    label = "reference 1, the source" if first else "the source"

    @functools.cache
    def encode() -> Tensor:
        return source.encode(_encoding(family, opened, label), plan.size)

    @functools.cache
    def pixels() -> Tensor:
        shape = (plan.size.width, plan.size.height)
        arrays = [
            np.asarray(picture.resize(shape, Image.Resampling.LANCZOS)) for picture in source.laid
        ]
        return torch.from_numpy(np.stack(arrays) / np.float32(255)).permute(0, 3, 1, 2)

    return Source(source.size, plan.size, opened.grid, encode, pixels, source.canvas)


def bind_hooks(
    loaded: LoadedModel,
    opened: FamilyRun,
    plan: Plan,
    source: Source | None,
    report: Callable[[Drift], None],
    *,
    eager: bool,
) -> Hooks:
    """Bind every stage's method to its reference, in the order of the call, then its plugins."""
    family = named_family(loaded.family, loaded.registry)
    compositors = _compositors(opened, plan)
    info = RunInfo(
        family=family.name,
        blocks=family.blocks,
        sigmas=plan.timetable.sigmas,
        noise=opened.noise,
        grid=opened.grid,
        methods=tuple(reference.methods for reference in plan.references),
        model=loaded.model,
        source=source,
        cover=functools.partial(_cover, compositors),
        branches=opened.branches,
        heads=opened.heads,
        head_size=opened.width // opened.heads,
        report=report,
        grids=opened.grids,
        decode=functools.partial(_decode, family, plan.size),
    )
    info = attrs.evolve(info, leave_out=functools.partial(_leave_out, info))
    plugged = {it.name: it.strengths for it in plan.timetable.plugins}
    bound: list[BoundPlugin] = []
    try:
        for index in range(len(plan.references)):
            _bind_stages(family, loaded.registry, opened, plan, index, info, compositors, bound)
        for run_plugin, label in plan.plugins:
            own = attrs.evolve(info, strengths=plugged.get(heading(label), ()))
            implementer = (
                _bind(label, run_plugin.bind_run, own) if is_description(run_plugin) else run_plugin
            )
            bound.append(BoundPlugin(implementer, label, strengths=own.strengths))
        return Hooks(bound, _contract(family, opened, info), compositors, eager=eager)
    except BaseException as error:
        close_all(bound, error)
        raise


def _leave_out(info: RunInfo, cover: Tensor, inside: Inside) -> Any:
    """What leaves tokens out where a plugin finds while a run goes on that they need not be."""
    none = torch.zeros(0, dtype=torch.int64)
    return planned_of(inside, cover, [none] * len(info.grids)).bind_run(info)


def _decode(family: Family, size: Size, latents: Tensor) -> Tensor:
    """What a plugin asks for while a run goes on; latents that are no picture's are refused."""
    check_latents(family, latents, size)
    return decode_latents(family, latents, size)


def _contract(family: Family, opened: FamilyRun, info: RunInfo) -> Contract:
    return Contract(
        transformer=family.transformer,
        tokens=tuple(None if grid is None else math.prod(grid) for grid in opened.grids),
        variants={
            **family.variants,
            "positions": (*opened.positions, *family.variants.get("positions", ())),
        },
        width=opened.width,
        batch=opened.noise.shape[0],
        heads=info.heads,
        head_size=info.head_size,
        dtype=opened.noise.dtype,
        device=opened.noise.device,
        layer=info.model.layer,
        takes_added=family.input_projection is not None,
        takes_adapters=family.takes_adapters,
        takes_keep=family.takes_keep and info.source is not None and sees_parts(family.transformer),
        takes_fresh=family.takes_keep and not family.reuse_exact,
    )


def _compositors(opened: FamilyRun, plan: Plan) -> Compositors:
    """What confines each stage of each reference that has masks; (reference, stage) is the key."""
    compositors = {}
    for slot, reference in enumerate(plan.references):
        grids = Grids(plan.size, opened.grid, opened.grids[slot], opened.noise.device)
        for stage, method in enumerate(reference.methods):
            prefix = edits_prefix(method)
            compositor = compositor_of(slot, reference.masks, grids, prefix=prefix)
            if compositor is not None:
                compositors[slot, stage] = compositor
    return compositors


def _cover(compositors: Compositors, ctx: Context, reference: int) -> Tensor | None:
    row = ctx.rows[reference]
    compositor = compositors.get((reference, row.stage))
    return None if compositor is None else compositor.target(row.masks)


def _bind_stages(
    family: Family,
    registry: Registry,
    opened: FamilyRun,
    plan: Plan,
    index: int,
    info: RunInfo,
    compositors: Compositors,
    bound: list[BoundPlugin],
) -> None:
    """Bind the stages of one reference that act at any step, one by one: any may fail."""
    planned = plan.references[index]
    if planned.size is None:
        return
    encoding = _encoding(family, opened, f"reference {index + 1}")
    encode, encode_fitted = _encoders(encoding, planned.used, planned.size, plan.size, index)
    for stage, method in enumerate(planned.methods):
        compositor = compositors.get((index, stage))
        reference = BoundReference(
            index=index,
            stage=stage,
            grid=opened.grids[index],
            strengths=plan.timetable.strengths(index, stage),
            steered=bool(plan.timetable.steered),
            tokens=_tokens(plan, index, stage),
            encode=encode,
            encode_fitted=functools.partial(_fitted, encode_fitted, compositor),
        )
        if any(reference.strengths):
            origin = registry.origin("method", method)
            label = f"{method.name}{origin} (reference {index + 1}, stage {stage + 1})"
            implementation = _bind(label, method.bind, reference, info)
            if compositor is not None and not getattr(method, "gives_tokens", True):
                steps = zip(plan.timetable.steps, reference.strengths, strict=True)
                rows = [planned.rows[index] for planned, strength in steps if strength]
                warn_of_no_reach(label, compositor, rows)
            bound.append(BoundPlugin(implementation, label, index, stage, compositor))


def _tokens(plan: Plan, index: int, stage: int) -> int | None:
    rows = [planned.rows[index] for planned in plan.timetable.steps]
    counts = [row.tokens for row in rows if row.stage == stage and row.tokens is not None]
    return max(counts, default=None)


def _bind(label: str, bind: Callable[..., Any], *arguments: object) -> Any:
    with naming(f"{label}, bind, before the first step"):
        return bind(*arguments)


def _fitted(encode: Callable[[str], Tensor], compositor: MaskCompositor | None, fit: str) -> Tensor:
    if compositor is not None:
        compositor.use_fit(fit)
    return encode(fit)


def _encoding(family: Family, opened: FamilyRun, label: str) -> Encode:
    return functools.partial(encode_picture, family, opened, label, opened.noise)


def _fitting(encode: Callable[[], Tensor], index: int, size: Size) -> Tensor:
    """Name the reference that is too large for memory."""
    try:
        return encode()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RefhooksError) or not (
            isinstance(error, MemoryError) or out_of_memory(error)
        ):
            raise
        message = (
            f"reference {index + 1} does not fit into memory at {size}; lower its resolution, or"
            " that of the output"
        )
        raise explained(error, message) from error


def _encoders(encoding: Encode, used: InputPicture, own: Size, target: Size, index: int) -> Any:
    """A picture is encoded when a method first asks, and once a run for each way to fit it.

    One that has the size of both is the same, however it is fitted.
    """

    @functools.cache
    def encode() -> Tensor:
        return _fitting(lambda: used.encode(encoding, own), index, own)

    @functools.cache
    def encode_fitted(fit: str) -> Tensor:
        return _fitting(lambda: used.encode_fitted(encoding, target, fit), index, target)

    if own == target and used.fits(target):
        return encode, lambda fit: encode() if fit in FITS else encode_fitted(fit)
    return encode, encode_fitted

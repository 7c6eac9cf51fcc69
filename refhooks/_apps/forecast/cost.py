"""What a strategy costs, estimated from the size of the model before anything is loaded."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.forecast.inside import inside_of, target_grid
from refhooks._apps.forecast.planned import plan, references_of
from refhooks._apps.forecast.savings import savings_of
from refhooks._apps.forecast.token_use import grid_of, reading, token_use_of, with_reuse
from refhooks._base.once import keeping
from refhooks._base.scales import read_scales, scales_over
from refhooks._base.weight_files.sources import floating_weight, source_of
from refhooks._core.planning.bounds import MAX_CFG
from refhooks._core.planning.request import read_cache
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.forecast.token_use import TokenUse
    from refhooks._core.contract.methods import Method
    from refhooks._core.contract.model_shape import ModelShape
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.strategy import Reference, Stage, Strategy
    from refhooks._core.plugins.registry import Registry

__all__ = ["Cost", "cost"]

GIB = 2**30


@attrs.frozen
class Cost:
    """What a strategy costs.

    Attributes:
        shape: The model's size.
        passes: The model's own forward passes a step.
        batch: Pictures at once.
        steps: Floating-point operations of each step.
        native: Those of a step of the stock pipeline with the same references, whole; their mean,
            where the model computes text and references once.
        bare: Those of a step without any reference.
        kept_bytes: Most memory that keys and values kept from step to step take.
        unkept: Of a step of the stock pipeline that keeps nothing, for a model that could; ``None``
            for any other.
        target: The output's tokens that are computed; ``None``: all.
        remarks: What of it is estimated, and what is not counted.
    """

    shape: ModelShape
    passes: int
    batch: int
    steps: tuple[float, ...]
    native: float
    bare: float
    kept_bytes: float
    unkept: float | None = None
    target: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def flops(self) -> float:
        """Floating-point operations of the run, of its denoising steps alone."""
        return math.fsum(self.steps)

    @property
    def over_native(self) -> float:
        """The run over the stock pipeline's with the same references."""
        return self.flops / (len(self.steps) * self.native)

    @property
    def over_bare(self) -> float:
        """The run over one without any reference."""
        return self.flops / (len(self.steps) * self.bare)

    @property
    def over_unkept(self) -> float | None:
        """The run over the stock pipeline's that keeps no keys and values, if it could."""
        return None if self.unkept is None else self.flops / (len(self.steps) * self.unkept)

    def as_dict(self) -> dict[str, Any]:
        """Return the cost as what JSON can hold."""
        return {
            "model": attrs.asdict(self.shape),
            "passes": self.passes,
            "batch": self.batch,
            "flops": self.flops,
            "flops_per_step": list(self.steps),
            "native_flops_per_step": self.native,
            "bare_flops_per_step": self.bare,
            "over_native": self.over_native,
            "over_bare": self.over_bare,
            "over_unkept": self.over_unkept,
            "weight_bytes": self.shape.weight_bytes,
            "kept_bytes": self.kept_bytes,
            "computed_target": self.shape.target if self.target is None else self.target,
            "remarks": list(self.remarks),
        }

    def __str__(self) -> str:
        """Return a few lines of text."""
        shape = self.shape
        part = "" if self.target is None else f" ({self.target} computed)"
        kept = f"{self.kept_bytes / GIB:.2f} GiB" if self.kept_bytes else "none"
        head = (
            f"cost on {shape.name}: {shape.blocks} blocks of width {shape.width}; tokens:"
            f" {shape.target} of the output{part}, {shape.reference} of a reference, {shape.text}"
            f" of text; forward passes a step: {self.passes}"
        )
        run = (
            f"all {len(self.steps)} steps: {_flops(self.flops)}, {self.over_native:.2f} of the"
            f" model's own way with these references ({1 / self.over_native:.2f} times as fast),"
            f" {self.over_bare:.2f} of no reference"
        )
        memory = (
            f"memory: {shape.weight_bytes / GIB:.2f} GiB of weights in {shape.dtype}; keys and"
            f" values kept from step to step: {kept}"
        )
        return "\n".join([head, run, *self._kept(), *self._spans(), memory, *self.remarks])

    def _kept(self) -> list[str]:
        over = self.over_unkept
        if over is None:
            return []
        return [f"text and references kept: {1 / over:.2f} times as fast as computing them again"]

    def _spans(self) -> list[str]:
        """Steps that cost the same, together; nothing where all do."""
        lines, start = [], 0
        for flops, group in itertools.groupby(self.steps):
            stop = start + len(list(group))
            label = f"step {stop}" if stop == start + 1 else f"steps {start + 1}-{stop}"
            lines.append(f"{label}: {_flops(flops)} each, {flops / self.native:.2f}")
            start = stop
        return lines if len(lines) > 1 else []


@keeping()
def cost(
    what: Strategy | Stage | Method | str | Sequence[Reference],
    steps: int | None = None,
    *,
    shape: ModelShape | None = None,
    editor: LoadedModel | None = None,
    cfg: float | str | Sequence[float] | None = None,
    batch: int = 1,
    height: int | None = None,
    width: int | None = None,
    denoise: float = 1.0,
    edit_mask: Any = None,
    compute: Any = "all",
    plugins: Sequence[object] = (),
    cache: Any = None,
) -> Cost:
    """Return what a strategy costs, from the number of floating-point operations.

    Of methods, it counts which tokens they give the model at each step, whose keys are attended to,
    and forward passes that they add. What runs once an edit (text encoder, VAE) is left out, and so
    is what masks and weights cost beside.

    Args:
        what: A strategy (or stage, method, its name) of one reference, or a list of references.
        steps: Number of steps; ``None``: that of the editor's model.
        shape: The model's size; ``None``: the editor's, or that of the first family that is
            registered with one of a full-size model.
        editor: As for :func:`refhooks.plan`: its noise levels and, with pictures, its tokens.
        cfg: As for ``edit()``: where it is 1 and below there is one pass a step; the model's own
            way is guided at every step then. ``None``: the model's own passes.
        batch: Pictures at once.
        height: Of the output in pixels, with ``width``; by default that of the shape.
        width: Likewise.
        denoise: As for ``edit()``.
        edit_mask: Likewise; it lies on the first reference's picture, or where there is none on one
            of the output's size.
        compute: Likewise.
        plugins: Likewise. Of one that leaves out tokens in the run, what its ``computes`` says is
            counted, an estimate; of one that has none, the cost says that it is not.
        cache: Likewise. What TaylorSeer leaves out is counted; what First Block Cache does is not,
            since it depends on the picture, and the cost says so.

    Raises:
        InputError: As for :func:`refhooks.plan`, or nothing states a model's size, or a step cache
            stands beside what cannot be with it.
        PluginError: A method or a plugin says nonsense of its work.
        UnknownNameError: A name that no live plugin registers.
    """
    registry = load_registry() if editor is None else editor.registry
    references = references_of(what)
    size: dict[str, Any] = {"height": height, "width": width}
    local = {"edit_mask": edit_mask, "compute": compute}
    chosen = read_cache(cache, compute, plugins)
    given = {**size, **local, "plugins": plugins}
    timetable = plan(what, steps, editor=editor, denoise=denoise, **given)
    shape = shape or (default_shape(registry) if editor is None else shape_of(editor, **size))
    if editor is None and height is not None and width is not None:
        shape = attrs.evolve(shape, target=_tokens(height, width, shape))
    passes = passes_of(shape, cfg, len(timetable.steps))
    grids = [grid_of(reference, shape, editor) for reference in references]
    uses = [
        token_use_of(registry, place, reference, timetable, grids[place])
        for place, reference in enumerate(references)
    ]
    savings = savings_of(shape, timetable, passes, plugins, chosen, registry)
    work = _kept_work if shape.keeps_prefix else _work
    whole = [float(math.prod(grid)) for grid in grids]
    target = target_grid(shape, height, width)
    inside = inside_of(registry, references, shape, target, grids, **local)
    computed = None if inside is None or inside.keep is None else inside.computed
    uses = reading(with_reuse(uses, inside), savings.reused, [0] * len(uses))
    shares = savings.target if computed is None else (computed / shape.target,) * len(passes)
    run = _Run(shape, uses, whole, passes, savings.passes, shares, batch)
    return attrs.evolve(work(run), target=computed, remarks=savings.remarks)


def passes_of(shape: ModelShape, cfg: Any, steps: int) -> tuple[int, ...]:
    """Return the forward passes of each step.

    Raises:
        InputError: ``cfg`` is none, or is listed for another number of steps.
    """
    if cfg is None:
        return (shape.passes,) * steps
    scales = scales_over(read_scales(cfg, MAX_CFG), steps)
    return tuple([shape.passes if scale > 1.0 else 1 for scale in scales])


@attrs.frozen
class _Run:
    """What is counted.

    Attributes:
        shape: The model's size.
        uses: What each reference gives at each step.
        whole: The tokens of each.
        passes: The model's own forward passes of each step.
        computed: Those of them that run through the blocks.
        shares: Of the output's tokens, at each step.
        batch: Pictures at once.
    """

    shape: ModelShape
    uses: Sequence[Sequence[TokenUse]]
    whole: Sequence[float]
    passes: Sequence[int]
    computed: Sequence[int]
    shares: Sequence[float]
    batch: int

    @property
    def own(self) -> list[float]:
        """Tokens of output and text at each step."""
        return [self.shape.target * share + self.shape.text for share in self.shares]


def _work(run: _Run) -> Cost:
    """Where every token is computed at every step, unless something leaves it out."""
    shape, uses, passes = run.shape, run.uses, max(run.passes)
    all_own = shape.target + shape.text
    tokens = all_own + sum(run.whole)
    most = max(sum(entry.cached for entry in step) for step in zip(*uses, strict=True))
    return Cost(
        shape=shape,
        passes=passes,
        batch=run.batch,
        steps=tuple(
            run.batch * _step([entry[index] for entry in uses], own, computed, shape)
            for index, (own, computed) in enumerate(zip(run.own, run.computed, strict=True))
        ),
        native=run.batch * passes * shape.flops(tokens, tokens),
        bare=run.batch * passes * shape.flops(all_own, all_own),
        kept_bytes=run.batch * passes * shape.kept_bytes(most),
    )


def _kept_work(run: _Run) -> Cost:
    """Where text and references are computed once, and anew where their tokens change."""
    shape, whole, steps, passes = run.shape, run.whole, len(run.passes), max(run.passes)
    all_own, times = shape.target + shape.text, run.batch * passes
    all_asking = shape.target if shape.keeps_text else all_own
    target = shape.flops(all_asking, all_own + sum(whole))
    first, bare = _prefix(shape, whole), _prefix(shape, [])
    work: list[float] = []
    kept: float = 0.0
    before: list[float] | None = None
    begun = already = 0
    for own_passes, own, step in zip(run.passes, run.own, zip(*run.uses, strict=True), strict=True):
        asking = all_asking - (all_own - own)
        tokens = [entry.attended for entry in step]
        anew = tokens != before or any(entry.anew for entry in step)
        flops = shape.flops(asking, own + sum(tokens))
        begun = own_passes if anew else max(begun, own_passes)
        prefixes = own_passes if anew else begun - already
        already = begun
        extra = [
            shape.flops(asking, own + sum(tokens) - entry.attended + share)
            for entry in step
            for share in entry.extra_passes
        ]
        prefix = prefixes * _prefix(shape, tokens)
        work.append(run.batch * (own_passes * flops + prefix + math.fsum(extra)))
        kept, before = max(kept, shape.keeps_text * shape.text + sum(tokens)), tokens
    return Cost(
        shape=shape,
        passes=passes,
        batch=run.batch,
        steps=tuple(work),
        native=times * (target + first / steps),
        bare=times * (shape.flops(all_asking, all_own) + bare / steps),
        kept_bytes=times * shape.kept_bytes(kept),
        unkept=times * (target + first),
    )


def _prefix(shape: ModelShape, references: Sequence[float]) -> float:
    """Text and references: each of these sees those before it, and the prompt sees all.

    Where the text is not kept, every reference sees all of them.
    """
    if not shape.keeps_text:
        return shape.flops(sum(references), sum(references))
    seen = list(itertools.accumulate(references, initial=0.0))
    pictures = [shape.flops(own, keys) for own, keys in zip(references, seen[1:], strict=True)]
    return math.fsum(pictures) + shape.flops(shape.text, shape.text + seen[-1])


def default_shape(registry: Registry) -> ModelShape:
    """Return the size of a full-size model: of the usual family, else of the first with one.

    Raises:
        InputError: None does.
    """
    for entry in sorted(registry.families.values(), key=lambda entry: not entry.usual):
        if entry.shape is not None:
            return entry.shape(None)
    raise InputError(f"no family states the size of its model; give a shape.{registry.absent()}")


def shape_of(editor: LoadedModel, *, height: int | None, width: int | None) -> ModelShape:
    """Return the size of an editor's model, and of pictures as it takes them.

    Raises:
        InputError: Its family states none.
    """
    from PIL import Image  # noqa: PLC0415

    family = editor.family
    stated = editor.registry.families[family.name].shape
    if stated is None:
        raise InputError(f"the family {family.name} does not state the size of its model")
    side = math.isqrt(family.area)
    square = family.reference_size(Image.new("1", (side, side)), None)
    transformer: Any = family.transformer
    source = source_of(transformer)
    return attrs.evolve(
        stated(transformer.config),
        name=family.name,
        dtype=str(floating_weight(transformer).dtype).removeprefix("torch."),
        stored=None if source is None else source.kept_bytes,
        target=math.prod(family.grid(family.output_size(None, height, width, None))),
        reference=math.prod(family.grid(square)),
    )


def _step(uses: Sequence[TokenUse], own: float, passes: int, shape: ModelShape) -> float:
    tokens = own + sum(entry.computed for entry in uses)
    keys = own + sum(entry.attended for entry in uses)
    added = [
        shape.flops(tokens - entry.computed + share, keys - entry.attended + share)
        for entry in uses
        for share in entry.extra_passes
    ]
    return passes * shape.flops(tokens, keys) + (math.fsum(added) if passes else 0.0)


def _tokens(height: int, width: int, shape: ModelShape) -> int:
    return max(1, (height // shape.pixels) * (width // shape.pixels))


def _flops(value: float) -> str:
    for factor, unit in ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e6:.3g} MFLOP"

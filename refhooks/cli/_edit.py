"""``refhooks edit``: one picture, edited from the command line."""

from __future__ import annotations

import contextlib
import inspect
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._apps.files.presets import preset
from refhooks._apps.files.strategy_file import load_file
from refhooks._apps.forecast.planned import NATIVE
from refhooks._base.files import is_folder
from refhooks._base.once import keeping
from refhooks._base.pictures import load_picture
from refhooks._base.size import Size
from refhooks._core.planning.request import make_request
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks._editor import Editor
from refhooks.cli._denoise import check_denoise, say_denoise
from refhooks.cli._drift import exact_arguments, remarks_as_notes, say_drift, tell_changes
from refhooks.cli._libraries import quiet
from refhooks.cli._methods import say_marks
from refhooks.cli._model import ModelOptions, ModelPlan, open_editor, plan_model
from refhooks.cli._parse import parse_method, parse_plugin, parse_reference, parse_strength
from refhooks.cli._places import check_places, preview_place, save
from refhooks.cli._presets import with_preset
from refhooks.cli._preview import write_preview
from refhooks.cli._room import output_pixels, picture_room
from refhooks.cli._terminal import say, steps_bar, tell
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.planning.request import Callback
    from refhooks._core.plugins.registry import Registry
    from refhooks.cli._masks import MaskOptions, Masks


@attrs.frozen(kw_only=True)
class EditOptions:
    """What the command was given."""

    model: ModelOptions
    masks: MaskOptions
    image: str
    prompt: str
    output: str
    method: str | Method | None
    method_options: tuple[str, ...]
    strength: float | str | None
    preset: str | None
    strategy_file: str | None
    references: tuple[str, ...]
    plugins: tuple[str, ...]
    check: Literal["final", "eager"]
    steps: int | None
    denoise: float
    seed: int | None
    count: int
    cfg: float | str | None
    negative: str
    resolution: int | Literal["native"] | None
    vision_resolution: int | None
    align: bool
    height: int | None
    width: int | None
    preview_every: int | None
    no_recipe: bool = False
    embed: bool = False
    metadata: Literal["drop", "keep"] = "drop"
    measure_drift: bool = False
    cache: str | None = None

    def arguments(self, references: Sequence[Reference]) -> dict[str, Any]:
        """Return the arguments of ``Editor.edit`` that need no model."""
        return {
            "references": list(references),
            "negative_prompt": self.negative,
            "cfg": self.cfg,
            "cache": self.cache,
            "steps": self.steps,
            "denoise": self.denoise,
            "seed": self.seed,
            "height": self.height,
            "width": self.width,
            "resolution": self.resolution,
            "vision_resolution": self.vision_resolution,
            "align": self.align,
            "n": self.count,
            "check": self.check,
        }

    def strategy(self, native: str) -> Stage | None:
        """Return how the source steers; ``None`` is the stock pipeline, to the bit."""
        if self.method is None and self.strength is None:
            return None
        return Stage(self.method or native, 1.0 if self.strength is None else self.strength)


@attrs.frozen
class EditJob:
    """An edit of which everything was checked that can be without a model."""

    options: EditOptions
    target: Path
    model: ModelPlan
    source: Reference | None
    references: tuple[Reference, ...]
    masks: Masks
    plugins: tuple[RunPlugin, ...]
    read: tuple[str, ...]
    pixels: int

    def steering(self, native: str) -> dict[str, Any]:
        """Return what ``Editor.edit`` takes as source and its strategy."""
        if self.source is not None:
            strategy = self.masks.added(self.source.strategy, native)
            return {"image": attrs.evolve(self.source, strategy=strategy), "strategy": None}
        strategy = self.masks.added(self.options.strategy(native), native)
        return {"image": self.options.image, "strategy": strategy}

    def arguments(self) -> dict[str, Any]:
        """Return the other arguments of ``Editor.edit``."""
        edit_mask = None if self.masks.edit is None else self.masks.edit.mask
        shared = self.options.arguments(self.references)
        local = {"edit_mask": edit_mask, "compute": self.masks.compute or "all"}
        return {**shared, **local, "plugins": self.plugins}


@keeping()
def edit_command(options: EditOptions) -> None:
    """Edit and save.

    Raises:
        RefhooksError: Something cannot be used; found before the model loads, where it can be.
    """
    job = check_edit(options, load_registry())
    started = time.perf_counter()
    editor = open_editor(job.model)
    loaded = time.perf_counter()
    with quiet(bars=False), remarks_as_notes():
        result = _edit(editor, job)
    say_drift(result.drift)
    written = save(
        result,
        job.target,
        embed=options.embed,
        recipe=not options.no_recipe,
        metadata=options.metadata,
    )
    _tell(result, written, time.perf_counter() - loaded, loaded - started)
    if options.measure_drift:
        say("note", "--measure-drift: the same edit once more, without reuse", "cyan")
        with quiet(bars=False):
            tell_changes(result, _exact(editor, job, result.seed))


def check_edit(options: EditOptions, registry: Registry) -> EditJob:
    """Check everything of an edit that needs no model.

    Raises:
        RefhooksError: Something cannot be used.
    """
    _check_together(options)
    if options.strength is not None:
        strength = parse_strength(str(options.strength), "--strength", registry)
        options = attrs.evolve(options, strength=strength)
    options = attrs.evolve(options, method=_method(options, registry))
    source, listed, plugins = _from_file(options, registry)
    plugins += tuple(parse_plugin(text, registry) for text in options.plugins)
    named = tuple(parse_reference(text, registry) for text in options.references)
    references = (*listed, *named)
    pictures = [options.image, *[str(entry.image) for entry in references]]
    masks = options.masks.read(registry)
    everyone = (source or Reference(options.image), *references)
    opened = [load_picture(picture) for picture in pictures]
    files = masks.check(everyone, opened)
    preview = options.preview_every is not None
    pictures += [str(file) for file in files]
    model = plan_model(options.model, registry)
    pixels = output_pixels(
        model.name,
        registry,
        opened[0],
        height=options.height,
        width=options.width,
        resolution=options.resolution,
    )
    target = check_places(
        options.output,
        count=options.count,
        preview=preview,
        pictures=pictures,
        room=picture_room(pixels, options.count + preview, opened if options.embed else ()),
    )
    read = tuple(pictures)
    job = EditJob(options, target, model, source, references, masks, plugins, read, pixels)
    _check_arguments(job)
    if options.measure_drift:
        exact_arguments(**job.steering(NATIVE), references=references, registry=registry)
    if options.strategy_file is not None:
        say_marks(everyone, registry)
    return job


def _check_together(options: EditOptions) -> None:
    if options.embed and options.no_recipe:
        raise InputError("--embed puts pictures beside the recipe, and --no-recipe leaves it out")
    if is_folder(options.image):
        raise InputError(
            f"{options.image} is a directory, and edit takes one picture; all pictures of a folder"
            " are edited by refhooks batch FOLDER PROMPT -o OUT"
        )


def _method(options: EditOptions, registry: Registry) -> str | Method | None:
    """The method of ``--method``, or of a preset where it is given options, with these."""
    method, texts = options.method, options.method_options
    if texts and options.strategy_file is not None:
        raise InputError("--strategy holds methods with their options; leave --option out")
    if texts and method is None:
        if options.preset is None:
            raise InputError("--option is one of a method's; name the method with --method")
        chosen = preset(options.preset)
        stage, *others = chosen.strategy.stages
        if others:
            raise InputError(
                f"preset {chosen.name!r} has {len(others) + 1} stages with options of their own;"
                " leave --option out"
            )
        method = stage.method
    return None if method is None else parse_method(method, texts, registry)


def _from_file(
    options: EditOptions, registry: Registry
) -> tuple[Reference | None, tuple[Reference, ...], tuple[RunPlugin, ...]]:
    """Return source, other references and run plugins of ``--strategy`` or ``--preset``, if any."""
    if options.preset is not None:
        method, strength, file = options.method, options.strength, options.strategy_file
        strategy = with_preset(options.preset, method, strength, file, registry)
        return Reference(options.image, strategy), (), ()
    if options.strategy_file is None:
        return None, (), ()
    if options.method is not None or options.strength is not None:
        raise InputError(
            "--strategy holds methods and strengths; leave --method and --strength out"
        )
    contents = load_file(options.strategy_file)
    if isinstance(contents.what, Strategy):
        return Reference(options.image, contents.what), (), contents.plugins
    first, *others = contents.what
    if Path(str(first.image)).absolute() != Path(options.image).absolute():
        say("note", f"{options.image} takes the place of {first.image} in the strategy", "cyan")
    return attrs.evolve(first, image=options.image), tuple(others), contents.plugins


def _check_arguments(job: EditJob) -> None:
    """Refuse what ``Editor.edit`` itself would refuse first, but before there is an editor."""
    call = inspect.signature(Editor.edit).bind(
        None,
        prompt=job.options.prompt,
        **job.steering(NATIVE),
        **job.arguments(),
    )
    call.apply_defaults()
    arguments = dict(call.arguments)
    for other in ("self", "wait", "method", "strength", "preset", "unknown"):
        del arguments[other]  # nothing else runs in this process; the strategy is made already
    make_request(**arguments)
    check_denoise(job.options.denoise, job.options.steps)


def _edit(editor: Editor, job: EditJob) -> EditResult:
    options = job.options
    steering = job.steering(editor.family.native)
    say_denoise(options.denoise, options.steps or editor.family.default_steps)
    with _watched(editor, job) as callback:
        return editor.edit(
            steering["image"],
            options.prompt,
            strategy=steering["strategy"],
            callback=callback,
            **job.arguments(),
        )


def _exact(editor: Editor, job: EditJob, seed: int) -> EditResult:
    """The same edit without reuse."""
    exact = exact_arguments(
        **job.steering(editor.family.native),
        references=job.references,
        registry=editor.registry,
    )
    with _watched(editor, job, previews=False) as callback:
        return editor.edit(
            prompt=job.options.prompt,
            callback=callback,
            **{**job.arguments(), **exact, "seed": seed},
        )


@contextlib.contextmanager
def _watched(editor: Editor, job: EditJob, *, previews: bool = True) -> Iterator[Callback]:
    """A bar on the terminal and, if asked for, previews."""
    options = job.options
    every = options.preview_every if previews else None
    steps = options.steps or editor.family.default_steps
    if every is not None and every > steps:
        say("warning", f"--preview-every {every}: of {steps} steps there is no preview", "yellow")
    picture = load_picture(options.image)
    size = Size(picture.height, picture.width)
    if options.resolution != "native":
        asked = (options.height, options.width, options.resolution)
        size = editor.family.output_size(picture, *asked)
    with steps_bar(steps) as advance:

        def callback(step: int, _latents: Tensor, x0: Tensor) -> None:
            if every is not None and (step + 1) % every == 0:
                write_preview(editor, x0, size, preview_place(job.target))
            advance()

        yield callback


def _tell(result: EditResult, written: Sequence[Path], seconds: float, loading: float) -> None:
    width, height = result.image.size
    places, seeds = str(written[0]), f"seed {result.seed}"
    if len(written) > 1:
        places, seeds = f"{places} to {written[-1]}", f"seeds {result.seed} to {result.seeds[-1]}"
    tell(f"wrote {places} ({width}x{height}), {seeds}, {seconds:.1f} s + {loading:.1f} s loading")

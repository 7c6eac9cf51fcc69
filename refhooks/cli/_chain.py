"""``refhooks chain``: several edits, one after the other, from the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._apps.chains.chain import Chain, Edit, as_chain, renamed
from refhooks._apps.chains.chain_file import load_chain
from refhooks._apps.chains.requests import Requests, named
from refhooks._apps.forecast.planned import NATIVE
from refhooks._base.files import is_file
from refhooks._base.once import keeping
from refhooks._base.pictures import load_picture
from refhooks._core.masks.layout import cover_masks
from refhooks._core.planning.factories import as_mask
from refhooks._core.planning.input_pictures import open_picture
from refhooks._core.planning.strategy import as_strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._denoise import check_denoise, say_denoise
from refhooks.cli._libraries import quiet
from refhooks.cli._masks import files_of
from refhooks.cli._model import ModelOptions, ModelPlan, open_editor, plan_model
from refhooks.cli._parse import parse_plugin
from refhooks.cli._places import check_chain_places, save
from refhooks.cli._room import output_pixels, picture_room
from refhooks.cli._terminal import steps_bar, tell
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._apps.editing.result import EditResult
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.request import Request
    from refhooks._core.plugins.registry import Registry


@attrs.frozen(kw_only=True)
class ChainOptions:
    """What the command was given."""

    model: ModelOptions
    image: str
    file: str | None
    prompts: tuple[str, ...]
    plugins: tuple[str, ...]
    check: Literal["final", "eager"]
    output: str
    strength: str | None
    denoise: str | None
    handover: Literal["latents", "pixels"]
    metadata: Literal["drop", "keep"]
    steps: int | None
    seed: int | None
    cfg: float | str | None
    resolution: int | Literal["native"] | None
    vision_resolution: int | None
    align: bool
    cache: str | None
    height: int | None
    width: int | None

    def arguments(self, registry: Registry) -> dict[str, Any]:
        """Return the arguments of ``Editor.chain`` that each of its edits shares.

        Raises:
            InputError: A run plugin's options are refused.
            UnknownNameError: A run plugin that no live plugin registers.
        """
        names = (
            "steps", "cfg", "resolution", "height", "width", "vision_resolution", "align", "cache",
            "check",
        )  # fmt: skip
        plugins = tuple(parse_plugin(text, registry) for text in self.plugins)
        return {**{name: getattr(self, name) for name in names}, "plugins": plugins}


@attrs.frozen
class _Job:
    """A chain of which everything was checked that can be without a model."""

    options: ChainOptions
    chain: Chain
    arguments: dict[str, Any]
    model: ModelPlan
    requests: tuple[Request, ...]
    places: tuple[Path, ...]


@keeping()
def run_chain(options: ChainOptions) -> None:
    """Edit, and save each picture as soon as it is made.

    Raises:
        RefhooksError: Something cannot be used; found before the model loads, where it can be.
    """
    job = _check(options, load_registry())
    editor = open_editor(job.model)
    steps = [request.steps or editor.family.default_steps for request in job.requests]
    for denoise, count in dict.fromkeys(
        (request.denoise, count) for request, count in zip(job.requests, steps, strict=True)
    ):
        say_denoise(denoise, count)
    with quiet(bars=False), steps_bar(sum(steps)) as advance:
        editor.chain(
            options.image,
            job.chain,
            seed=options.seed,
            handover=options.handover,
            callback=lambda *_: advance(),
            on_result=_Writing(job),
            **job.arguments,
        )


def _check(options: ChainOptions, registry: Registry) -> _Job:
    chain, arguments = _chain(options, registry), options.arguments(registry)
    requests = Requests(
        options.image,
        chain,
        seed=options.seed,
        options=arguments,
        registry=registry,
        native=NATIVE,
    )
    checked, files = [], [Path(options.image)]
    for place in range(len(chain.edits)):
        with named(place, len(chain.edits)):
            request = requests.request(place, requests.original)
            files += _check_request(request, registry, sized=place == 0)
            checked.append(request)
    model, first = plan_model(options.model, registry), checked[0]
    pixels = output_pixels(
        model.name,
        registry,
        load_picture(options.image),
        height=first.height,
        width=first.width,
        resolution=first.resolution,
    )
    room = picture_room(pixels, len(checked))
    places = check_chain_places(options.output, len(checked), files, room)
    return _Job(options, chain, arguments, model, tuple(checked), places)


def _chain(options: ChainOptions, registry: Registry) -> Chain:
    if (options.file is None) == (not options.prompts):
        raise InputError(
            "name a chain FILE, or give prompts with -p"
            + ("" if options.file is None else f", not both; got {options.file} and -p")
        )
    chain: Any = [Edit(prompt) for prompt in options.prompts]
    if options.file is not None:
        chain = load_chain(options.file)
    over = {
        name: _over(text, f"--{name}", registry)
        for name in ("strength", "denoise")
        if (text := getattr(options, name)) is not None
    }
    return as_chain(chain, **over)


def _over(text: str, option: str, registry: Registry) -> float | tuple[float, ...] | str:
    """Return a number, one an edit, or the short form of a schedule over the edits."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        try:
            registry.schedule_from(text)
        except InputError as error:
            raise InputError(f"{option}: {error}") from error
        return text
    return numbers if len(numbers) > 1 else numbers[0]


def _check_request(request: Request, registry: Registry, *, sized: bool) -> list[Path]:
    """Refuse what no model could use, and return the files that are read.

    Unless it is ``sized``, masks lie on what an edit before makes, whose size the model decides.
    """
    check_denoise(request.denoise, request.steps)
    opened = [open_picture(reference.image) for reference in request.references]
    frame = opened[0].size
    masks: list[Mask] = []
    for number, (reference, picture) in enumerate(zip(request.references, opened, strict=True)):
        strategy = as_strategy(reference.strategy, NATIVE)
        if sized:
            cover_masks(strategy.masks, number, frame, picture.size)
        masks += strategy.masks
    if request.edit_mask is not None:
        mask = as_mask(registry, request.edit_mask, "edit_mask")
        plugin = registry.for_argument("edit_mask", mask)
        if sized and hasattr(plugin, "check"):
            plugin.check(frame)
        masks.append(mask)
    images = [reference.image for reference in request.references]
    paths = [Path(image) for image in images if isinstance(image, str | Path)]
    paths += [file for mask in masks for file in files_of(mask.shape)]
    for path in paths:
        if not is_file(path):
            raise InputError(f"there is no file {path}")
    return paths


class _Writing:
    """Writes each picture and says so.

    Args:
        job: What is run.
    """

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._began = time.perf_counter()
        self._names: dict[str, str] = {}  # by which recipes know what the edits before made

    def __call__(self, place: int, result: EditResult) -> None:
        if result.recipe is not None:
            self._names[result.recipe.pixels] = self._job.places[place].name
        named_result, at = renamed(result, self._names), self._job.places[place]
        metadata = self._job.options.metadata
        [written] = save(named_result, at, embed=False, metadata=metadata)
        width, height = result.image.size
        now = time.perf_counter()
        tell(
            f"edit {place + 1} of {len(self._job.places)}: wrote {written} ({width}x{height}), seed"
            f" {result.seed}, {now - self._began:.1f} s: {self._job.chain.edits[place].prompt}"
        )
        self._began = now

"""``refhooks edit``: one picture, edited from the command line."""

from __future__ import annotations

import contextlib
import inspect
import time
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._editor import Editor
from refhooks._pictures import load_picture
from refhooks._registry import load_registry
from refhooks._request import make_request
from refhooks._strategy import Reference, Stage
from refhooks.cli._libraries import quiet
from refhooks.cli._model import ModelOptions, ModelPlan, open_editor, plan_model
from refhooks.cli._parse import check_strength, parse_reference
from refhooks.cli._places import check_places, preview_place
from refhooks.cli._preview import write_preview
from refhooks.cli._terminal import steps_bar, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from refhooks._registry import Registry
    from refhooks._request import Callback
    from refhooks._result import EditResult


@attrs.frozen(kw_only=True)
class EditOptions:
    """What the command was given."""

    model: ModelOptions
    image: str
    prompt: str
    output: str
    method: str | None
    strength: float | None
    references: tuple[str, ...]
    steps: int | None
    seed: int | None
    count: int
    cfg: float | None
    negative: str
    resolution: int | None
    height: int | None
    width: int | None
    preview_every: int | None

    def arguments(self, references: Sequence[Reference]) -> dict[str, Any]:
        """Return the arguments of ``Editor.edit`` that need no model."""
        return {
            "references": list(references),
            "negative_prompt": self.negative,
            "cfg": self.cfg,
            "steps": self.steps,
            "seed": self.seed,
            "height": self.height,
            "width": self.width,
            "resolution": self.resolution,
            "n": self.count,
        }

    def strategy(self, native: str) -> Stage | None:
        """Return how the source steers; ``None`` is the stock pipeline, to the bit."""
        if self.method is None and self.strength is None:
            return None
        return Stage(self.method or native, 1.0 if self.strength is None else self.strength)


@attrs.frozen
class _Job:
    """An edit of which everything was checked that can be without a model."""

    options: EditOptions
    target: Path
    model: ModelPlan
    references: tuple[Reference, ...]


def run_edit(options: EditOptions) -> None:
    """Edit and save.

    Raises:
        RefhooksError: Something cannot be used; found before the model loads, where it can be.
    """
    job = _check(options, load_registry())
    started = time.perf_counter()
    editor = open_editor(job.model)
    loaded = time.perf_counter()
    with quiet(bars=False):
        result = _edit(editor, job)
    written = result.save(job.target)
    _tell(result, written, time.perf_counter() - loaded, loaded - started)


def _check(options: EditOptions, registry: Registry) -> _Job:
    if options.strength is not None:
        check_strength(options.strength, "--strength")
    if options.method is not None:
        registry.method(options.method)
    references = tuple(parse_reference(text, registry) for text in options.references)
    pictures = [options.image, *[str(entry.image) for entry in references]]
    for picture in pictures:
        load_picture(picture)
    preview = options.preview_every is not None
    target = check_places(options.output, count=options.count, preview=preview, pictures=pictures)
    _check_arguments(options, references)
    return _Job(options, target, plan_model(options.model, registry), references)


def _check_arguments(options: EditOptions, references: Sequence[Reference]) -> None:
    """Refuse what ``Editor.edit`` itself would refuse first, but before there is an editor."""
    call = inspect.signature(Editor.edit).bind(
        None,
        options.image,
        options.prompt,
        strategy=options.strategy("default"),
        **options.arguments(references),
    )
    call.apply_defaults()
    arguments = dict(call.arguments)
    del arguments["self"]
    make_request(**arguments)


def _edit(editor: Editor, job: _Job) -> EditResult:
    options = job.options
    strategy = options.strategy(editor.family.native)
    with _watched(editor, job) as callback:
        return editor.edit(
            options.image,
            options.prompt,
            strategy=strategy,
            callback=callback,
            **options.arguments(job.references),
        )


@contextlib.contextmanager
def _watched(editor: Editor, job: _Job) -> Iterator[Callback]:
    """A bar on the terminal and, if asked for, previews."""
    options = job.options
    size = editor.family.output_size(
        load_picture(options.image), options.height, options.width, options.resolution
    )
    with steps_bar(options.steps or editor.family.default_steps) as advance:

        def callback(step: int, _latents: Tensor, x0: Tensor) -> None:
            if options.preview_every is not None and (step + 1) % options.preview_every == 0:
                write_preview(editor, x0, size, preview_place(job.target))
            advance()

        yield callback


def _tell(result: EditResult, written: Sequence[Path], seconds: float, loading: float) -> None:
    width, height = result.image.size
    places, seeds = str(written[0]), f"seed {result.seed}"
    if len(written) > 1:
        places, seeds = f"{places} to {written[-1]}", f"seeds {result.seed} to {result.seeds[-1]}"
    tell(f"wrote {places} ({width}x{height}), {seeds}, {seconds:.1f} s + {loading:.1f} s loading")

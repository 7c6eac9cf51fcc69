"""``refhooks batch``: many edits, each made once, whatever ends the command in between."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from refhooks._core.planning.strategy import Stage
from refhooks._core.plugins.loading import load_registry
from refhooks.batch import Ray, run
from refhooks.batch._failures import FILE
from refhooks.cli._libraries import quiet
from refhooks.cli._model import open_editor, plan_model, say_embedded
from refhooks.cli._parse import parse_reference, parse_strength
from refhooks.cli._terminal import say, stderr, tell, work_bar
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from refhooks._core.plugins.registry import Registry
    from refhooks._editor import Editor
    from refhooks.batch import Progress, Summary
    from refhooks.cli._model import ModelOptions

FAILED: Final = 3  # the status where jobs failed, and the others are made
_TELL: Final = 10  # failed jobs that are named
_EVERY: Final = 60.0  # seconds between two lines where there is no terminal


@attrs.frozen(kw_only=True)
class BatchOptions:
    """What the command was given."""

    jobs: str
    prompt: str | None
    out: str
    method: str | None
    strength: str | None
    preset: str | None
    strategy_file: str | None
    references: tuple[str, ...]
    steps: int | None
    denoise: float | None
    seed: int
    cfg: float | str | None
    cache: str | None
    negative: str
    resolution: int | Literal["native"] | None
    vision_resolution: int | None
    align: bool
    height: int | None
    width: int | None
    most: int | None
    retry: bool
    ray: str | None
    num_gpus: float | None
    num_cpus: float | None

    def actors(self) -> Ray | None:
        """Return where actors run, if there are to be any.

        Raises:
            InputError: They are said to need something, and there are none; or a folder stands
                where the address does.
        """
        needs = {"--num-gpus": self.num_gpus, "--num-cpus": self.num_cpus}
        if self.ray is None:
            for name, value in needs.items():
                if value is not None:
                    raise InputError(f"{name} is of an actor of Ray; add --ray, or leave it out")
            return None
        is_file = Path(self.ray).exists() or self.ray.lower().endswith((".jsonl", ".csv"))
        if is_file and self.ray not in {"local", "auto"}:
            raise InputError(
                f"--ray took {self.ray!r} for an address; put it last, or say --ray=local"
            )
        return Ray(self.ray, self.num_gpus, self.num_cpus)

    def shared(self, registry: Registry) -> dict[str, Any]:
        """Return what all jobs have that do not say it themselves.

        Raises:
            RefhooksError: An option cannot be used.
        """
        strength = self.strength
        told = {
            "method": self.method,
            "strength": None if strength is None else _number(strength, "--strength", registry),
            "preset": _path(self.preset, (".toml", ".json")),
            "strategy": _path(self.strategy_file),
            "references": [_reference(text, registry) for text in self.references] or None,
            "steps": self.steps,
            "denoise": self.denoise,
            "seed": self.seed,
            "cfg": self.cfg,
            "cache": self.cache,
            "negative_prompt": self.negative,
            "resolution": self.resolution,
            "vision_resolution": self.vision_resolution,
            "align": self.align or None,
            "height": self.height,
            "width": self.width,
        }
        return {name: value for name, value in told.items() if value is not None}


def _path(value: str | None, endings: tuple[str, ...] = ("",)) -> str | None:
    """A path of the command line, which is not relative to the jobs' folder."""
    if value is None or not value.lower().endswith(endings):
        return value
    return str(Path(value).absolute())


def _number(text: str, label: str, registry: Registry) -> Any:
    """A strength as a file of jobs has it."""
    parsed = parse_strength(text, label, registry)
    return parsed if isinstance(parsed, float | str) else text


def _reference(text: str, registry: Registry) -> dict[str, Any]:
    reference = parse_reference(text, registry)
    told: dict[str, Any] = {"image": str(Path(str(reference.image)).absolute())}
    stage = reference.strategy
    if isinstance(stage, Stage):
        told |= {"method": stage.method, "strength": stage.strength}
    return told


def run_batch(model: ModelOptions, options: BatchOptions) -> int:
    """Make what is missing; return the exit status.

    Raises:
        RefhooksError: Jobs or options cannot be used; found before the model loads.
        KeyboardInterrupt: It was interrupted, and ended after the edits in hand.
    """
    registry = load_registry()
    actors = options.actors()
    plan = plan_model(model if actors is None else _anywhere(model), registry)
    shared = options.shared(registry)
    began = time.perf_counter()
    load: Callable[[], Editor] = functools.partial(open_editor, plan)
    if actors is not None:
        load = functools.partial(_load, model)
        say_embedded(plan)
        say("note", f"starting actors of Ray, {_place(actors)}", "cyan")
    with _until_interrupted() as asked, quiet(bars=False), _progress() as progress:
        summary = run(
            options.jobs,
            out=options.out,
            model=load,
            prompt=options.prompt,
            shared=shared,
            most=options.most,
            retry=options.retry,
            ray=actors,
            progress=progress,
            stop=asked.is_set,
            waits=_say_waiting,
        )
    return _told(summary, time.perf_counter() - began)


def _anywhere(model: ModelOptions) -> ModelOptions:
    """A model as far as it can be checked on a machine that need not have an accelerator."""
    return attrs.evolve(model, offload="none", quantize="none")


def _load(model: ModelOptions) -> Editor:
    """Load a model where an actor runs."""
    return open_editor(plan_model(model, load_registry()))


def _place(actors: Ray) -> str:
    return "on this machine" if actors.address == "local" else f"at {actors.address}"


def _told(summary: Summary, seconds: float) -> int:
    if summary.there:
        say("note", f"{summary.there} of {_many(summary.jobs)} were done before", "cyan")
    for name, message in list(summary.failed.items())[:_TELL]:
        say("failed", f"{name}: {message}", "red")
    if len(summary.failed) > _TELL:
        say("failed", f"and {len(summary.failed) - _TELL} more", "red")
    if summary.failed:
        place = summary.out / FILE
        say("note", f"what failed stands in {place}; --retry tries it again", "cyan")
    if summary.left:
        say("note", f"{_many(summary.left)} left; the same command goes on from there", "cyan")
        raise KeyboardInterrupt
    tell(f"{summary.out}: made {_many(summary.made)}, {seconds:.1f} s with loading")
    return FAILED if summary.failed else 0


def _many(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def _say_waiting(count: int) -> None:
    what = "group" if count == 1 else f"{count} groups"
    say("note", f"waiting for the last {what}: another process is making it", "cyan")


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """Yield what is set by the first Ctrl-C; the second one ends the command where it stands."""
    asked = threading.Event()
    usual = signal.getsignal(signal.SIGINT)
    alone = threading.current_thread() is threading.main_thread()
    if not alone or usual is not signal.default_int_handler:
        yield asked
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, usual)
        say("note", "ending after the edits in hand; Ctrl-C once more ends at once", "cyan")

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; elsewhere, as in the log of a night, a line a minute."""
    if stderr().is_terminal:
        with work_bar() as advance:
            yield lambda progress: advance(progress.done, progress.total)
        return
    yield _Lines().see


@attrs.define
class _Lines:
    """Says how far a batch is, now and then."""

    began: float = attrs.field(factory=time.monotonic)
    said: float = attrs.field(factory=time.monotonic)

    def see(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.done == 0:  # the model is loaded only now
            self.began = self.said = now
        if progress.done in {0, progress.total} or now - self.said < _EVERY:
            return
        self.said = now
        left = (now - self.began) * (progress.total - progress.done) / progress.done
        say("note", f"{progress.done} of {progress.total} edits, {_spoken(left)} to go", "cyan")


def _spoken(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"

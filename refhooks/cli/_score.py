"""``refhooks score``: methods, strengths and schedules measured on edits with known answers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.grids.fields import Field, make_axis
from refhooks._apps.grids.fingerprint import fingerprint
from refhooks._base.claims import Claims
from refhooks._base.figures import write_plot
from refhooks._base.files import is_folder, try_writing, write_whole
from refhooks._base.folders import make_folder
from refhooks._base.names import did_you_mean, listed
from refhooks._base.outputs import check_output
from refhooks._base.shown import shown
from refhooks._base.tables import MAX_BYTES, parse_json, read_capped
from refhooks._core.planning.planner import resolve_methods
from refhooks._core.planning.strategy import Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._libraries import quiet
from refhooks.cli._model import open_editor, plan_model
from refhooks.cli._parse import check_strength
from refhooks.cli._places import check_apart
from refhooks.cli._room import SCORE
from refhooks.cli._score_tables import print_card
from refhooks.cli._terminal import say, tell, work_bar
from refhooks.errors import InputError, PluginError
from refhooks.score import (
    Pair,
    Settings,
    draw_responses,
    draw_tradeoff,
    read_cells,
    read_manifest,
    run_cells,
    strength_cells,
)
from refhooks.score._cells import DENOISE, STRENGTHS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from refhooks._core.plugins.registry import Registry
    from refhooks._editor import Editor
    from refhooks.cli._model import ModelOptions, ModelPlan
    from refhooks.score import Cell, Progress, Scorecard

FULL, QUICK = 25, 4  # scenes of each kind
QUICK_METHODS, QUICK_STRENGTHS = 2, (0.0, 0.5, 1.0)
BATCH = 25  # of an embedded model; larger ones fill their device with one picture
STORE, ABOUT, CARD, TABLE = "store", "about.json", "scorecard.json", "scorecard.csv"
RESPONSES, TRADEOFF = "strength.png", "tradeoff.png"


@attrs.frozen(kw_only=True)
class ScoreOptions:
    """The options of the command but for those of the model, as they were given."""

    pairs: str | None
    quick: bool
    methods: str | None
    strengths: str | None
    denoise: str | None
    strengths_only: bool
    cells: str | None
    kinds: str | None
    scenes: int | None
    steps: int | None
    cfg: float | None
    seed: int
    batch: int | None
    output: str
    json_file: str | None

    def check(self) -> None:
        """Refuse options that say the same thing.

        Raises:
            InputError: Two of them do.
        """
        axes = ("methods", "strengths", "denoise")
        flags = [f"--{name}" for name in axes if getattr(self, name) is not None]
        flags += [f"--{name}" for name in ("quick", "strengths-only")
                  if getattr(self, name.replace("-", "_"))]  # fmt: skip
        if self.cells is not None and flags:
            raise InputError(f"--cells says all that is run; leave out {listed(flags)}")
        for name in axes[1:]:
            self.numbers(name, ())

    def numbers(self, name: str, default: Sequence[float]) -> tuple[float, ...]:
        """Return the values of ``--strengths`` or ``--denoise``.

        Raises:
            InputError: One is out of its range.
        """
        text = getattr(self, name)
        if text is None:
            return tuple(default)
        label = f"--{name} {text}"
        values = tuple(check_strength(it, label) for it in _listed(text, name))
        if name == "denoise" and not all(0.0 < it <= 1.0 for it in values):
            raise InputError(f"{label}: denoise is above 0, up to 1")
        return values


def _listed(text: str, name: str) -> tuple[str, ...]:
    return make_axis(Field(name, text=name), text, f"--{name}").values


def run_score(model: ModelOptions, options: ScoreOptions) -> None:
    """Run what is missing, print the table and write the scorecard.

    Raises:
        RefhooksError: Something cannot be used; found before the model loads, where it can be.
    """
    registry = load_registry()
    options.check()
    plan = plan_model(model, registry)
    pairs = _pairs(options, plan, registry)
    cells = None if options.cells is None else read_cells(options.cells)
    _named_methods(options, registry)
    folder = _folder(options)
    editor = open_editor(plan)
    settings = Settings(options.steps, options.cfg, options.seed,
                        options.batch or (BATCH if plan.embedded else 1))  # fmt: skip
    cells = cells or _cells(options, editor)
    _check_folder(folder, _about(editor, plan, settings))
    _announce(editor, cells, pairs, settings)
    card = _scored(editor, pairs, cells, settings, plan, folder)
    written = _write(card, folder, options)
    print_card(card)
    tell("")
    for place in written:
        tell(f"wrote {place}")


def _checked(pairs: Sequence[object], model: str) -> list[Pair]:
    """What a plugin's model says are pairs."""
    for pair in pairs:
        if not isinstance(pair, Pair):
            raise PluginError(
                f"the model {model!r}: its pairs must be refhooks.score.Pair, got {shown(pair)}"
            )
    return [pair for pair in pairs if isinstance(pair, Pair)]


def _pairs(options: ScoreOptions, plan: ModelPlan, registry: Registry) -> tuple[Pair, ...]:
    scenes = options.scenes or (QUICK if options.quick else FULL)
    if options.pairs is not None:
        pairs: Sequence[Pair] = read_manifest(options.pairs)
        scenes = options.scenes or (QUICK if options.quick else len(pairs))
    else:
        embedded = registry.models[plan.name].pairs if plan.embedded else None
        if embedded is None:
            raise InputError(
                f"the model {plan.name!r} brings no pairs to score it on; give your own with"
                ' --pairs FILE, a line of JSON each: {"source": "a.png", "prompt": "...",'
                ' "right": "b.png", "mask": "m.png"}; one of right and mask may be left out'
            )
        pairs = _checked(embedded(scenes), plan.name)
    kinds = tuple(dict.fromkeys(pair.kind for pair in pairs))
    chosen = kinds if options.kinds is None else _listed(options.kinds, "kinds")
    for kind in chosen:
        if kind not in kinds:
            raise InputError(
                f"--kinds: there is no pair of the kind {kind!r}.{did_you_mean(kind, kinds)} Kinds:"
                f" {listed(kinds)}"
            )
    return tuple(
        pair for kind in kinds if kind in chosen
        for pair in [it for it in pairs if it.kind == kind][:scenes]
    )  # fmt: skip


def _named_methods(options: ScoreOptions, registry: Registry) -> tuple[str, ...] | None:
    if options.methods is None:
        return None
    names = _listed(options.methods, "methods")
    for name in names:
        registry.method(name)
    return names


def _folder(options: ScoreOptions) -> Path:
    folder = Path(options.output)
    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error}") from error
    try_writing(check_output(folder / RESPONSES), SCORE)
    if options.json_file is not None and not is_folder(Path(options.json_file).absolute().parent):
        raise InputError(f"--json {options.json_file}: there is no such folder")
    if options.json_file is not None:
        read = [file for file in (options.pairs, options.cells) if file is not None]
        check_apart(Path(options.json_file), read)
        try_writing(Path(options.json_file), SCORE)
    return folder


def _cells(options: ScoreOptions, editor: Editor) -> tuple[Cell, ...]:
    names = _named_methods(options, editor.registry)
    if names is None:
        names = _possible(editor)
        names = names[:QUICK_METHODS] if options.quick else names
    only = options.quick or options.strengths_only
    return strength_cells(
        names,
        options.numbers("strengths", QUICK_STRENGTHS if options.quick else STRENGTHS),
        options.numbers("denoise", () if only else DENOISE),
        schedules=not only,
        switches=not only,
        attention=True,
    )


def _possible(editor: Editor) -> tuple[str, ...]:
    """The methods that this model can do, its own first; nobody asked for the others."""
    native = editor.family.native
    able = []
    for name in sorted(editor.registry.methods, key=lambda it: (it != native, it)):
        try:
            resolve_methods(editor, Strategy(name))
            able.append(name)
        except InputError as error:
            say("note", f"without {name}: {error}", "cyan")
    return tuple(able)


def _about(editor: Editor, plan: ModelPlan, settings: Settings) -> dict[str, Any]:
    """What must be the same for a run to go on in a folder."""
    family = editor.family
    return {
        "model": plan.name,
        "steps": settings.steps or family.default_steps,
        "cfg": family.default_cfg if settings.cfg is None else settings.cfg,
        "seed": settings.seed,
        "batch": settings.batch,
        "fingerprint": fingerprint(editor, ""),
    }


def _check_folder(folder: Path, about: dict[str, Any]) -> None:
    """Go on with what was begun with the same settings; refuse to mix others into it.

    Raises:
        InputError: The folder holds results of other settings, or cannot be written.
    """
    place = folder / ABOUT
    told = json.dumps(about, indent=1).encode() + b"\n"
    begin = [ABOUT]  # of several processes that begin at once, one does, and the others compare
    Claims(folder).divide(begin, lambda _: place.exists(), lambda _: write_whole(told, place))
    earlier = parse_json(read_capped(place, MAX_BYTES, InputError), str(place))
    other = [name for name in about if earlier.get(name) != about[name]]
    if other and other[0] == "fingerprint":
        raise InputError(
            f"{folder} holds results of other weights, or of other versions of plugins; name"
            " another folder with -o, or delete it"
        )
    if other:
        listing = [
            f"{it} {earlier.get(it)}, not {about[it]}" for it in other if it != "fingerprint"
        ]
        raise InputError(
            f"{folder} holds results with {listed(listing)}; name another folder with -o, or"
            " delete it"
        )


def _announce(
    editor: Editor, cells: Sequence[Cell], pairs: Sequence[Pair], settings: Settings
) -> None:
    steps = settings.steps or editor.family.default_steps
    kinds = len({pair.kind for pair in pairs})
    edits = sum(cell.kinds is None or pair.kind in cell.kinds for cell in cells for pair in pairs)
    what = [_many(len(cells), "cell"), f"{_many(len(pairs), 'pair')} of {_many(kinds, 'kind')}"]
    work = f"{_many(edits, 'edit')} of {_many(steps, 'step')}"
    say("note", f"{listed(what)}: {work}, and the pairs once without a reference", "cyan")


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _scored(
    editor: Editor,
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
    settings: Settings,
    plan: ModelPlan,
    folder: Path,
) -> Scorecard:
    context = editor.registry.models[plan.name].faster if plan.embedded else None
    began = time.perf_counter()
    try:
        with quiet(bars=False), work_bar() as advance:
            card = run_cells(
                editor, pairs, cells, settings, store=folder / STORE, ceiling=True,
                context=context, progress=_Watch(advance, began).see,
            )  # fmt: skip
    except KeyboardInterrupt:
        say("note", f"what is finished lies in {folder}; the same command goes on from there",
            "cyan")  # fmt: skip
        raise
    say("note", f"{_spoken(time.perf_counter() - began)} in all", "cyan")
    return card


@attrs.define
class _Watch:
    """Moves the bar, and once says how long it will take."""

    advance: Callable[[int, int], object]
    began: float
    said: bool = False

    def see(self, progress: Progress) -> None:
        self.advance(progress.done, progress.total)
        if self.said or not progress.of_cell or progress.done == progress.total:
            return
        self.said = True
        spent = time.perf_counter() - self.began
        left = spent * (progress.total - progress.done) / progress.done
        say("note", f"about {_spoken(left)} to go, by what was run so far", "cyan")


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _write(card: Scorecard, folder: Path, options: ScoreOptions) -> list[Path]:
    written = [card.save_json(folder / CARD), card.save_csv(folder / TABLE)]
    if options.json_file is not None:
        written.append(card.save_json(options.json_file))
    for draw, name in ((draw_responses, RESPONSES), (draw_tradeoff, TRADEOFF)):
        try:
            written.append(write_plot(lambda draw=draw: draw(card), folder / name))  # type: ignore[misc]
        except InputError as error:
            say("note", f"without {name}: {error}", "cyan")
    return written

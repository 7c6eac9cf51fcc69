"""Run cells on pairs: many pictures at once, and every finished batch is kept."""

from __future__ import annotations

import contextlib
import inspect
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from refhooks._apps.files.writer import Writer
from refhooks._apps.grids.fingerprint import fingerprint
from refhooks._base.advice import silenced
from refhooks._base.folders import no_empty_folders
from refhooks._base.numbers import is_list
from refhooks._base.shown import shown
from refhooks._base.size import Size
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.planner import resolve_methods
from refhooks._core.planning.run_plugins import named_plugins, plugin_strengths
from refhooks._core.planning.strategy import as_strategy
from refhooks.errors import InputError
from refhooks.score._card import MEASURES, Scorecard
from refhooks.score._card_parts import Scene, Score
from refhooks.score._ceiling import ceiling_of
from refhooks.score._cell import ADDRESS, Cell, Progress, Settings, digest
from refhooks.score._edit import edited, filled, measure
from refhooks.score._pair import Pair, Shot, grouped, make_shot
from refhooks.score._perceived import PERCEIVED, perceived
from refhooks.score._store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from PIL.Image import Image

    from refhooks._editor import Editor

    Group = tuple[int, ...]
    Measure = Callable[[Shot], float | None]
    Context = Callable[[Any], AbstractContextManager[object]]


def run_cells(
    editor: Editor,
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
    settings: Settings = Settings(),  # noqa: B008  frozen
    *,
    store: str | Path | None = None,
    measures: Mapping[str, Measure] | None = None,
    ceiling: bool = False,
    context: Context | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Scorecard:
    """Edit every pair in the way of every cell, and measure the results.

    The same arguments give the same numbers, whether the run was interrupted or not. What single
    edits would warn of is not said: strengths out of their usual range are asked for on purpose.

    Args:
        editor: It runs the edits.
        pairs: What is edited; those of one size run together.
        cells: How.
        settings: For what cells leave open.
        store: A folder, made if it is not there, where each batch is kept as soon as it is
            finished. What it holds of the same model, pairs, cell and settings is not run again.
            The model's weights, the versions of plugins and the text of ``measures`` count; the
            code of plugins, and what measures call, do not. A measure that holds more than its
            text says, as a closure, is taken anew each time, unless its attribute ``key``, a text,
            says what it holds.
        measures: More of them, by name; each is given a :class:`Shot`, and returns a number, or
            ``None`` where it is not defined.
        ceiling: Also measure what the autoencoder alone keeps of the sources, in two steps without
            a reference for each pair; ``Scorecard.ceiling`` holds it.
        context: Given the pipeline, returns a context in which all of it runs.
        progress: Called after every batch.

    Raises:
        InputError: No pair, no cell, two of one name, or nothing that can be measured; or a cell
            that cannot be run, found before the first edit.
        UnknownNameError: A method that no live plugin registers.
        RefhooksError: As for ``Editor.edit``; what was finished until then is kept.
    """
    with no_empty_folders():
        kept = Store.open(store)
        run = _Run.prepared(editor, pairs, cells, settings, measures or {}, context, kept)
    with silenced(), contextlib.nullcontext() if context is None else context(editor.pipe):
        run.fill(progress or (lambda _: None))
        most = run.ceiling() if ceiling else {}
    return attrs.evolve(run.card(settings), ceiling=most)


@attrs.frozen
class _Work:
    """A cell that leaves nothing open, its key, and the batches that it is run in."""

    cell: Cell
    key: str
    groups: tuple[Group, ...]


def _work(editor: Editor, pairs: Sequence[Pair], cell: Cell, settings: Settings) -> _Work:
    chosen = [
        place for place, pair in enumerate(pairs) if cell.kinds is None or pair.kind in cell.kinds
    ]
    if not chosen:
        raise InputError(f"cell {cell.name!r}: no pair is of a kind in {cell.kinds}")
    frames = dict.fromkeys(pairs[place].sizes[0] for place in chosen)
    _check_cell(editor, cell, [Size(height, width) for width, height in frames])
    groups = grouped([pairs[place] for place in chosen], settings.batch)
    mapped = tuple(tuple(chosen[place] for place in group) for group in groups)
    return _Work(cell, cell.key(editor.family.native), mapped)


@attrs.frozen
class _Run:
    """One call of :func:`run_cells`."""

    editor: Editor
    pairs: tuple[Pair, ...]
    works: tuple[_Work, ...]
    measures: Mapping[str, Measure]
    store: Store
    base: str
    measured: str
    groups: tuple[Group, ...]
    whole: tuple[bool, ...]

    @classmethod
    def prepared(
        cls,
        editor: Editor,
        pairs: Sequence[Pair],
        cells: Sequence[Cell],
        settings: Settings,
        measures: Mapping[str, Measure],
        context: Context | None,
        store: Store,
    ) -> _Run:
        """Check everything that can be checked before the first edit."""
        _check_lists(pairs, cells)
        taken = sorted(set(measures) & {*MEASURES, *PERCEIVED})
        if taken:
            raise InputError(f"the measure {taken[0]!r} is there already; choose another name")
        regions = [pair.region for pair in pairs]
        known = any(region is not None for region in regions)
        if not known and not measures and not any(cell.attention for cell in cells):
            raise InputError(
                "nothing can be measured: no pair has a right answer or a mask; give right, mask or"
                " both"
            )
        works = [_work(editor, pairs, filled(editor, cell, settings), settings) for cell in cells]
        named = "" if context is None else getattr(context, "__qualname__", repr(context))
        return cls(
            editor=editor,
            pairs=tuple(pairs),
            works=tuple(works),
            measures=measures,
            store=store,
            base=digest([fingerprint(editor, ""), named]),
            measured=digest(
                [
                    *perceived(),
                    *((name, _source(function)) for name, function in sorted(measures.items())),
                ]
            ),
            groups=tuple(grouped(pairs, settings.batch)),
            whole=tuple(region is None or bool(region.all()) for region in regions),
        )

    def _key(self, work: _Work, group: Group) -> str:
        keys = [self.pairs[place].key for place in group]
        return digest([self.base, work.key, keys, self.measured])

    def _without_key(self, cell: Cell, group: Group, place: int) -> str:
        """It depends on the whole batch, since rounding does."""
        keys = [self.pairs[it].key for it in group]
        return digest([self.base, "without", keys, group.index(place), cell.steps, cell.cfg,
                       cell.seed])  # fmt: skip

    def _needs_without(self, place: int) -> bool:
        return bool(self.measures) or not self.whole[place]

    def fill(self, progress: Callable[[Progress], object]) -> None:
        """Run what the store lacks, cell by cell."""
        missing = [
            (work, group)
            for work in self.works
            for group in work.groups
            if self.store.batch(self._key(work, group), len(group)) is None
        ]
        lacking = self._lacking(missing)
        done = 0
        total = sum(len(group) * (work.cell.steps or 0) for work, group in missing)
        total += sum(len(group) * (cell.steps or 0) for cell, group in lacking.values())

        def advance(work: _Work, group: Group, *, of_cell: bool = True) -> None:
            nonlocal done
            done += len(group) * (work.cell.steps or 0)
            progress(Progress(done, total, work.cell.name, of_cell=of_cell))

        def see_to(number: int, run: Callable[[_Work, Group], None] | None) -> None:
            work, group = missing[number]
            for key in [key for key in lacking if set(lacking[key][1]) & set(group)]:
                cell, whole = lacking[key]
                if _alike(cell, work.cell):
                    del lacking[key]
                    self._run_without(cell, whole)
                    advance(work, whole, of_cell=False)
            if run is not None:
                run(work, group)
            advance(work, group)

        def is_done(number: int) -> bool:
            """By another process: those that were there before are not missing."""
            work, group = missing[number]
            self.store.refresh()
            if self.store.batch(self._key(work, group), len(group)) is None:
                return False
            see_to(number, None)
            return True

        keys = [self._key(work, group) for work, group in missing]
        self.store.claims.divide(keys, is_done, lambda number: see_to(number, self._run_batch))

    def _lacking(
        self, missing: Sequence[tuple[_Work, Group]]
    ) -> dict[tuple[Any, ...], tuple[Cell, Group]]:
        """The batches without a reference that what is missing needs and the store lacks."""
        lacking = {}
        for work, group in missing:
            needed = {place for place in group if self._needs_without(place)}
            for whole in self.groups:
                key = (work.cell.steps, work.cell.cfg, work.cell.seed, whole)
                if key in lacking or not needed & set(whole):
                    continue
                keys = [self._without_key(work.cell, whole, place) for place in whole]
                if any(self.store.picture(it) is None for it in keys):
                    lacking[key] = (work.cell, whole)
        return lacking

    def _run_without(self, cell: Cell, group: Group) -> None:
        """Another process may be running it, or have run it by now."""
        keys = [self._without_key(cell, group, place) for place in group]

        def run(_: int) -> None:
            pairs = [self.pairs[place] for place in group]
            result = edited(self.editor, pairs, cell, without=True)
            for key, picture in zip(keys, result.images, strict=True):
                self.store.keep_picture(key, picture)

        def is_there(_: int) -> bool:
            return all(self.store.picture(key) is not None for key in keys)

        self.store.claims.divide([f"without {keys[0]}"], is_there, run)

    def _without(self, cell: Cell, place: int) -> Image | None:
        if not self._needs_without(place):
            return None
        group = next(group for group in self.groups if place in group)
        return self.store.picture(self._without_key(cell, group, place))

    def _run_batch(self, work: _Work, group: Group) -> None:
        pairs = [self.pairs[place] for place in group]
        result = edited(self.editor, pairs, work.cell, without=False)
        shares = result.attention_shares
        rows: list[dict[str, float | None]] = []
        for number, (place, picture) in enumerate(zip(group, result.images, strict=True)):
            shot = make_shot(self.pairs[place], picture, self._without(work.cell, place))
            row = measure(shot)
            if shares is not None:
                row["attention"] = float(shares[:, :, 1, number].mean())  # the source is group 1
            row |= {name: _number(function(shot), name) for name, function in self.measures.items()}
            rows.append(row)
        self.store.keep(
            self._key(work, group), {name: [row[name] for row in rows] for name in rows[0]}
        )

    def ceiling(self) -> dict[str, tuple[float | None, ...]]:
        """Compared with the results without a reference that the first cell's are."""
        cell = self.works[0].cell
        return ceiling_of(self.editor, self.pairs, self.groups, self.store, self.base,
                          lambda place: self._without(cell, place))  # fmt: skip

    def card(self, settings: Settings) -> Scorecard:
        """Return what the store holds of this run."""
        family = self.editor.family
        return Scorecard(
            model=self.editor.model.base or family.name,
            settings=attrs.evolve(
                settings,
                steps=settings.steps or family.default_steps,
                cfg=family.default_cfg if settings.cfg is None else settings.cfg,
            ),
            scenes=tuple(Scene(it.key, it.kind, len(it.references)) for it in self.pairs),
            cells=tuple([self._score(work) for work in self.works]),
        )

    def _score(self, work: _Work) -> Score:
        names = (*MEASURES, *perceived(), *self.measures)
        values: dict[str, list[float | None]] = {name: [None] * len(self.pairs) for name in names}
        for group in work.groups:
            batch = self.store.batch(self._key(work, group), len(group)) or {}
            for name, row in batch.items():
                if name not in values:
                    continue  # a measure that nobody asked for
                for place, value in zip(group, row, strict=True):
                    values[name][place] = value
        cell = work.cell
        return Score(
            name=cell.name,
            method=cell.method,
            strength=cell.strength,
            schedule=cell.schedule,
            denoise=cell.denoise,
            steps=cell.steps or 0,
            cfg=0.0 if cell.cfg is None else cell.cfg,
            seed=cell.seed,
            strategy=_table(self.editor, cell),
            values={name: tuple(row) for name, row in values.items()},
        )


def _source(function: Measure) -> str:
    """The text of a function, so that what an earlier form of it gave is not taken for this.

    One that holds more than its text says is another each time, unless its ``key`` says it.
    """
    own = getattr(function, "key", None)
    bound = [getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__")]
    closed = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    said = own if isinstance(own, str) else repr([bound, closed])
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        return own if isinstance(own, str) else secrets.token_hex()
    return text + said + (secrets.token_hex() if ADDRESS in said else "")


def _alike(cell: Cell, other: Cell) -> bool:
    return (cell.steps, cell.cfg, cell.seed) == (other.steps, other.cfg, other.seed)


def _number(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"the measure {name!r} must return a number or None, got {shown(value)}")
    return float(value)


def _check_lists(pairs: Any, cells: Any) -> None:
    for entries, kind, name in ((pairs, Pair, "pairs"), (cells, Cell, "cells")):
        if not is_list(entries) or not entries or not all(isinstance(it, kind) for it in entries):
            raise InputError(
                f"{name} must be a list of at least one {kind.__name__}, got {shown(entries)}"
            )
    names = [cell.name for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two cells are called {twice!r}; a name is unique")


def _check_cell(editor: Editor, cell: Cell, frames: Sequence[Size]) -> None:
    """Refuse what the model cannot run, before hours of what it can."""
    steps = cell.steps or 0
    sigmas = [(steps - index) / steps for index in range(steps)]
    try:
        for steering in (cell.strategy, cell.others):
            strategy = as_strategy(steering, editor.family.native)
            resolve_methods(editor, strategy)
            with silenced():
                timetable = compile_timetable([strategy], sigmas, editor.registry)
        for frame in frames:
            named = named_plugins(cell.plugins, editor.registry, frame)
        with silenced():
            every = [planned.step for planned in timetable.steps]
            plugin_strengths(named, every, editor.registry)
    except InputError as error:
        error.add_note(f"raised by cell {cell.name!r}")
        raise


def _table(editor: Editor, cell: Cell) -> dict[str, Any] | None:
    """What a strategy file would hold of a cell, as far as a file can."""
    strategy = as_strategy(cell.strategy, editor.family.native)
    writer = Writer(editor.registry, Path("strategy.toml"), None)
    try:
        table = writer.file(strategy)
    except InputError:
        return None
    with contextlib.suppress(InputError):
        table |= writer.plugins(cell.plugins)
    return table

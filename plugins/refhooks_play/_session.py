"""What one person has on the page: a folder of pictures, the state, the edit that runs."""

from __future__ import annotations

import html
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError, RefhooksError, Size, draw_lanes, preset, presets
from refhooks.pictures import load_picture
from refhooks_play._cells import Cells, inline
from refhooks_play._command_line import CommandLine, command_line
from refhooks_play._files import mask_files
from refhooks_play._pictures import shown, take_in, take_weights
from refhooks_play._recipes import has_recipe, made_by, read_recipe
from refhooks_play._running import Job
from refhooks_play._state import Card, State, read_strategy, tables_of, write_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from refhooks import Editor, EditResult, Strategy
    from refhooks_play._running import Runner

__all__ = ["Session", "alert"]

MAX_REFERENCES = 4
MAX_STAGES = 6
SETTLED = 3.0  # seconds until a browser shows what it was told
LOOKED_AT = 1600  # pixels of the longer side of the source as it is shown
STRATEGIES = {".toml", ".json"}
WEIGHTS = ".safetensors"
"""The one kind of file, beside pictures, that options may name: reading it runs nothing."""


def alert(text: str) -> str:
    """Return a sentence as HTML that readers of the screen say at once."""
    return f"<p role='alert' class='refused'>{html.escape(text)}</p>"


class Session:
    """One person's page.

    Args:
        runner: The model, which others have as well.
        root: Folder in which the session's own is made.
    """

    def __init__(self, runner: Runner, root: Path) -> None:
        self.runner = runner
        self.folder = Path(tempfile.mkdtemp(dir=root))
        self.state = State()
        self.place = 0
        self.tab = ""
        self.painted = ""
        self.job: Job | None = None
        self.result: EditResult | None = None
        self.lock = threading.RLock()
        self._fields: tuple[float, list[Any], list[Any]] = (0.0, [], [])

    def close(self) -> None:
        """End what runs, and remove its pictures."""
        if self.job is not None:
            self.runner.cancel(self.job)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def editor(self) -> Editor:
        """The model."""
        return self.runner.editor

    @property
    def card(self) -> Card | None:
        """The reference that is looked at; ``None``: there is none yet."""
        cards = self.state.cards
        return cards[min(self.place, len(cards) - 1)] if cards else None

    def names(self) -> list[str]:
        """Return how the references are called."""
        return [f"{at}: {card.image}" for at, card in enumerate(self.state.cards, 1)]

    # A browser puts new values into fields one after the other, and tells of each.

    def settle(self, before: Sequence[Any], after: Sequence[Any]) -> None:
        """Note what fields showed before an action, and what they are about to show."""
        self._fields = (time.monotonic() + SETTLED, list(before), list(after))

    def settled(self, values: Sequence[Any]) -> list[Any]:
        """Return what a browser says of all fields, with what is on its way in place of the old."""
        until, before, after = self._fields
        if time.monotonic() > until or len(before) != len(values):
            return list(values)
        return [
            new if value == old else value
            for value, old, new in zip(values, before, after, strict=True)
        ]

    # What changes the state: each under the lock, and whole or not at all.

    def set_source(self, path: Path, name: str | None = None) -> None:
        """Take a picture as the source; masks of the one before go with it.

        Raises:
            InputError: It is no picture that can be used.
        """
        called = take_in(path, self.folder, name)
        with self.lock:
            first = self.state.cards[0].stages if self.state.cards else self._native()
            cards = (Card(called, first), *self.state.cards[1:])
            self.change(cards=cards, edit_mask=None, height=None, width=None)
            self.result = None

    def add_reference(self, path: Path, name: str | None = None) -> None:
        """Add a picture as another reference; raises as :meth:`set_source`."""
        if not self.state.cards:
            raise InputError("choose the picture that is edited first; others come after it")
        if len(self.state.cards) >= MAX_REFERENCES:
            raise InputError(f"the page holds {MAX_REFERENCES} pictures; remove one first")
        called = take_in(path, self.folder, name)
        with self.lock:
            cards = (*self.state.cards, Card(called, self._native()))
            self.state = attrs.evolve(self.state, cards=cards)
            self.place = len(cards) - 1

    def remove_reference(self) -> None:
        """Remove the reference that is looked at.

        Raises:
            InputError: It is the source.
        """
        if self.place == 0:
            raise InputError("reference 1 is the picture that is edited; choose another on Edit")
        with self.lock:
            cards = [it for at, it in enumerate(self.state.cards) if at != self.place]
            self.state = attrs.evolve(self.state, cards=tuple(cards))
            self.place -= 1

    def set_stages(self, stages: Sequence[Cells]) -> None:
        """Put what is written in the table onto the card that is looked at."""
        with self.lock:
            if self.card is not None:
                card = attrs.evolve(self.card, stages=tuple(stages))
                self.state = self.state.with_card(self.place, card)

    def change_rest(self, **given: Any) -> None:
        """Change what else a card holds, such as ``vision``; ``None`` takes it away."""
        with self.lock:
            if self.card is not None:
                rest = {**self.card.rest, **given}
                rest = {key: value for key, value in rest.items() if value is not None}
                self.state = self.state.with_card(self.place, attrs.evolve(self.card, rest=rest))

    def change(self, **given: Any) -> None:
        """Change fields of the state; without an edit mask, none says how much is computed."""
        with self.lock:
            state = attrs.evolve(self.state, **given)
            if state.edit_mask is None and "compute" in state.more:
                more = {key: value for key, value in state.more.items() if key != "compute"}
                state = attrs.evolve(state, more=more)
            self.state = state

    def forget(self) -> None:
        """Leave out what an opened file brought that no field shows."""
        self.change(plugins=(), more={})

    def fill(self, name: str) -> None:
        """Put a preset's stages onto the card that is looked at, and its denoise.

        Raises:
            InputError: There is no card, or no such preset.
        """
        if name not in {it.name for it in presets()}:  # a name may be the path of a file
            raise InputError(f"there is no preset {name!r:.80}")
        chosen = preset(name)
        if self.card is None:
            raise InputError("there is no picture yet; choose one on the tab Edit")
        with self.lock:
            card = attrs.evolve(self.card, stages=_cells_of(chosen.strategy, self.folder))
            self.state = self.state.with_card(self.place, card)
            if chosen.denoise is not None:
                self.state = attrs.evolve(self.state, denoise=chosen.denoise)

    def open(self, paths: Sequence[Path]) -> str:
        """Open a strategy file, or a picture with a recipe, and the pictures that go with it.

        Returns:
            What was opened.

        Raises:
            InputError: There is neither, or something of it cannot be used; nothing is changed.
        """
        files = [it for it in paths if it.suffix.lower() in STRATEGIES]
        weights = [it for it in paths if it.suffix.lower() == WEIGHTS]
        pictures = [it for it in paths if it not in files and it not in weights]
        made = [it for it in pictures if not files and has_recipe(it)]
        if len(files) + len(made) != 1:
            raise InputError(
                "open one strategy file (.toml, .json), or one picture that refhooks made, and"
                " with it the pictures and .safetensors files that it names"
            )
        for file in weights:
            take_weights(file, self.folder, WEIGHTS)
        for picture in pictures:
            if picture not in made:
                take_in(picture, self.folder)
        with self.lock:
            if files:
                opened, told = read_strategy(files[0], self.state, self.folder), ""
            else:
                opened, told = read_recipe(made[0], self.folder), made_by(made[0], self.editor)
            _check_fits(opened)
            self.state, self.place, self.result = opened, 0, None
        return f"opened {(files or made)[0].name}{told}"

    def _native(self) -> tuple[Cells, ...]:
        return (Cells(self.editor.family.native),)

    # What is shown of it.

    def hidden(self) -> str:
        """Return what an opened file brought that no field shows; empty: nothing."""
        state = self.state
        more = [f"{key} = {inline(_without_none(value))}" for key, value in state.more.items()]
        return "; ".join([*[f"run plugin {inline(it)}" for it in state.plugins], *more])

    def lanes(self) -> str:
        """Return the lanes of all references as HTML; what is refused is said at its own."""
        state = self.state
        if not state.cards:
            return "<p>Choose a picture on the tab Edit: its lane appears here.</p>"
        references, refused = state.lenient(self.folder)
        try:
            planned = state.planned(self.folder)
            drawn = draw_lanes(
                references, state.steps, editor=self.editor, refused=refused, **planned
            )
        except RefhooksError as error:
            return alert(str(error))
        return drawn.html

    def look(self) -> str | None:
        """Return the file of the source as it is shown; ``None``: there is none yet.

        It is made once: every answer of the page names it, and a picture is large.
        """
        if not self.state.cards:
            return None
        name = self.state.cards[0].image
        place = self.made(f"source-{name}.png")
        if not place.exists():
            picture = shown(load_picture(self.folder / name))
            picture.thumbnail((LOOKED_AT, LOOKED_AT))
            picture.save(place)
        return str(place)

    def size(self) -> Size:
        """Return the output's size; raises where it, or the source, cannot be used."""
        picture = load_picture(self.folder / self.state.cards[0].image)
        asked = self.state.more.get("resolution")
        if asked == "native":
            return Size(picture.height, picture.width)
        state = self.state
        return self.editor.family.output_size(picture, state.height, state.width, asked)

    def free_name(self, stem: str, own: str = "") -> str:
        """Return the name of a PNG that no picture and no mask of the page has.

        Args:
            stem: How it begins.
            own: What it replaces, whose name it may have, if nothing else has that.
        """
        cards = self.state.cards
        masks = [
            self.state.edit_mask or {},
            *[it for one in cards for it in one.rest.get("mask", ())],
        ]
        names = [card.image for card in cards]
        names += [table[key] for table in masks for key in mask_files() if key in table]
        if own in names:
            names.remove(own)
        name, number = f"{stem}.png", 1
        while name in names:
            number += 1
            name = f"{stem}-{number}.png"
        return name

    # What runs.

    def start(self, work: Callable[[Job], Any], total: int = 0, size: Size | None = None) -> Job:
        """Queue a piece of work for the model.

        Raises:
            InputError: One of this session waits or runs already.
            RefhooksError: The queue is full.
        """
        with self.lock:
            if self.job is not None and self.job.is_open:
                raise InputError("an edit of this page runs already; cancel it, or wait for it")
            self.job = self.runner.submit(Job(work, total, size))
            return self.job

    def start_edit(self, **more: Any) -> Job:
        """Queue the edit that is on the page; what can be refused is refused before.

        Raises:
            RefhooksError: It cannot be run; the message says why.
        """
        arguments = {**self.state.arguments(self.folder), **more}
        if not self.state.prompt.strip():
            raise InputError("the prompt is empty; say what is to be done with the picture")
        total = self.state.steps or self.editor.family.default_steps

        def work(job: Job) -> EditResult:
            return self.editor.edit(**arguments, callback=job.watch(self.editor), wait=True)

        return self.start(work, total, self.size())

    def saved(self, result: EditResult) -> Path:
        """Save a result with all that it was made from inside, and return the file."""
        return result.save(self.made(f"edited-{result.seed}.png"), embed=True)[0]

    def made(self, name: str) -> Path:
        """Return where a picture that the page makes is put: beside none that it was given."""
        (self.folder / "looks").mkdir(exist_ok=True)
        return self.folder / "looks" / name

    def exported(self) -> tuple[Path, str, CommandLine]:
        """Return the strategy file, its text and the command line; raises as the state does."""
        with self.lock:
            path = write_strategy(self.state, self.folder)
            line = command_line(self.state, self.folder, self.runner.loading)
            return path, path.read_text("utf-8"), line

    def cancel(self) -> None:
        """End the edit that waits or runs."""
        if self.job is not None:
            self.runner.cancel(self.job)


def _check_fits(state: State) -> None:
    """Refuse what the page has no room for, rather than lose a part of it."""
    if len(state.cards) > MAX_REFERENCES:
        raise InputError(f"it has {len(state.cards)} pictures, and the page {MAX_REFERENCES}")
    most = max((len(card.stages) for card in state.cards), default=0)
    if most > MAX_STAGES:
        raise InputError(f"a strategy of it has {most} stages, and the page shows {MAX_STAGES}")


def _without_none(value: Any) -> Any:
    """What TOML has no word for is as ever."""
    if not isinstance(value, dict):
        return value
    return {key: it for key, it in value.items() if it is not None}


def _cells_of(strategy: Strategy, folder: Path) -> tuple[Cells, ...]:
    """A strategy's stages as cells, by way of what refhooks writes of it."""
    return tuple(Cells.of(stage) for stage in tables_of(strategy, folder)["stage"])

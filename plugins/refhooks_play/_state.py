"""What is on the page, as values: a strategy file, and the arguments of the edit beside it."""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import (
    InputError,
    Reference,
    RefhooksError,
    StrategyError,
    dump_strategy,
    load_plugins,
    load_references,
    load_strategy,
)
from refhooks_play._cells import Cells
from refhooks_play._files import name_inside, named, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from refhooks import Mask

__all__ = ["EXPORTED", "MORE", "Card", "State", "read_strategy", "tables_of", "write_strategy"]

EXPORTED = "strategy.toml"
MORE = ("resolution", "vision_resolution", "align", "compute", "cache")


@attrs.frozen
class Card:
    """A reference on the page.

    Attributes:
        image: Name of its picture, in the folder of the session.
        stages: Its stages, as they are written; empty: the model's own method at 1.
        rest: What else a ``[[reference]]`` holds: ``vision``, ``mask`` and ``resolution``.
    """

    image: str
    stages: tuple[Cells, ...] = ()
    rest: dict[str, Any] = attrs.field(factory=dict)

    @classmethod
    def of(cls, table: dict[str, Any]) -> Card:
        """Return the card of a ``[[reference]]``."""
        rest = {key: value for key, value in table.items() if key not in {"image", "stage"}}
        stages = tuple(Cells.of(stage) for stage in table.get("stage", ()))
        return cls(table["image"], stages, rest)

    def table(self, number: int) -> dict[str, Any]:
        """Return the ``[[reference]]`` with this number, from 1; raises as :meth:`Cells.table`."""
        stages = [
            cells.table(f"reference {number}, stage {place}")
            for place, cells in enumerate(self.stages, 1)
        ]
        return {"image": self.image, **self.rest, **({"stage": stages} if stages else {})}

    def masked(self, kind: str, table: dict[str, Any] | None) -> Card:
        """Return the same with one mask of a kind, ``region`` or ``content``; ``None``: none."""
        others = [it for it in self.rest.get("mask", ()) if it.get("kind", "region") != kind]
        masks = others if table is None else [*others, table]
        rest = {key: value for key, value in self.rest.items() if key != "mask"}
        return attrs.evolve(self, rest={**rest, "mask": masks} if masks else rest)


@attrs.frozen
class State:
    """Everything on the page.

    Attributes:
        cards: The references, the source first.
        plugins: Run plugins, as ``[[plugin]]`` of a strategy file.
        prompt: What to do.
        negative: What guidance moves away from.
        steps: ``None``: the model's own; so are the following.
        seed: ``None``: one is drawn.
        cfg: As the command line takes it; empty: the model's own.
        denoise: Above 0, up to 1.
        height: Pixels.
        width: Pixels.
        edit_mask: Where the picture may change, as a ``[[mask]]``.
        more: Other arguments of the edit, of :data:`MORE`, that a recipe brought.
    """

    cards: tuple[Card, ...] = ()
    plugins: tuple[dict[str, Any], ...] = ()
    prompt: str = ""
    negative: str = " "
    steps: int | None = None
    seed: int | None = None
    cfg: str = ""
    denoise: float = 1.0
    height: int | None = None
    width: int | None = None
    edit_mask: dict[str, Any] | None = None
    more: dict[str, Any] = attrs.field(factory=dict)

    def with_card(self, place: int, card: Card) -> State:
        """Return the same with a card in place of that at ``place``, from 0."""
        return attrs.evolve(self, cards=(*self.cards[:place], card, *self.cards[place + 1 :]))

    def references(self, folder: Path, *, names: bool = False) -> tuple[Reference, ...]:
        """Return the references, whose pictures lie in a folder.

        Args:
            folder: Of the session.
            names: Whether options that name a file keep its name, as a file that is exported has
                it, in place of its path.

        Raises:
            InputError: There is no picture yet.
            StrategyError: What is written on a card cannot be used; the message names it.
            UnknownNameError: It names what no live plugin registers.
        """
        if not self.cards:
            raise InputError("there is no picture yet; choose one on the tab Edit")
        tables = [card.table(number) for number, card in enumerate(self.cards, 1)]
        return _loaded(folder, tables, names=names)

    def lenient(self, folder: Path) -> tuple[list[Reference], list[str]]:
        """Return the references, and of each why it cannot be made; one that cannot is bare."""
        references, refused = [], []
        bare: list[dict[str, Any]] = [{"image": card.image} for card in self.cards]
        for place, card in enumerate(self.cards):
            try:
                others = [*bare[:place], card.table(place + 1), *bare[place + 1 :]]
                references.append(_loaded(folder, others)[place])
                refused.append("")
            except RefhooksError as error:
                references.append(Reference(folder / card.image))
                refused.append(str(error))
        return references, refused

    def mask(self, folder: Path) -> Mask | None:
        """Return the edit mask; raises as :meth:`references`."""
        if self.edit_mask is None:
            return None
        table = {"stage": [{"method": "default"}], "mask": [self.edit_mask]}
        with _page_file(folder, table) as place:
            return load_strategy(place).masks[0]

    def run_plugins(self, folder: Path, *, names: bool = False) -> tuple[Any, ...]:
        """Return the run plugins; raises as :meth:`references`."""
        if not self.plugins:
            return ()
        table = {"stage": [{"method": "default"}], "plugin": list(self.plugins)}
        with _page_file(folder, table, names=names) as place:
            return load_plugins(place)

    def planned(self, folder: Path) -> dict[str, Any]:
        """Return the arguments of a plan beside references and steps; raises likewise."""
        return {
            "height": self.height, "width": self.width, "denoise": self.denoise,
            "edit_mask": self.mask(folder), "plugins": self.run_plugins(folder),
            "compute": self.more.get("compute", "all"), "resolution": self.more.get("resolution"),
        }  # fmt: skip

    def arguments(self, folder: Path) -> dict[str, Any]:
        """Return the arguments of ``edit()``; raises as :meth:`references`."""
        first, *others = self.references(folder)
        own = {
            "negative_prompt": self.negative, "steps": self.steps, "seed": self.seed,
            "cfg": _number(self.cfg),
        }  # fmt: skip
        beside = {**self.more, **self.planned(folder), **own}
        return {"image": first, "prompt": self.prompt, "references": others, **beside}


def _number(text: str) -> float | str | None:
    """A guidance scale as it was written: one that is no number is read by the edit."""
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text.strip()


@contextlib.contextmanager
def _page_file(
    folder: Path, table: dict[str, Any] | None = None, *, names: bool = False
) -> Iterator[Path]:
    """A file of its own for each use, where the pictures lie: several threads show one page.

    Its name is taken out of messages: nobody has seen it. With ``names``, files that options name
    are checked, and stay the names that a user has.
    """
    place = folder / f".page-{secrets.token_hex(8)}.json"
    if table is not None:
        there = within(table, folder)
        place.write_text(json.dumps(table if names else there), encoding="utf-8")
    try:
        yield place
    except RefhooksError as error:
        if not str(error).startswith(f"{place}: "):
            raise
        raise type(error)(str(error).removeprefix(f"{place}: ")) from error
    finally:
        place.unlink(missing_ok=True)


def tables_of(what: Any, folder: Path, plugins: Sequence[Any] = ()) -> dict[str, Any]:
    """Return a strategy, or references, as the tables that refhooks itself writes of them."""
    with _page_file(folder) as place:
        tables: dict[str, Any] = json.loads(
            dump_strategy(what, place, plugins=plugins).read_text("utf-8")
        )
    return tables


def _loaded(
    folder: Path, tables: Sequence[dict[str, Any]], *, names: bool = False
) -> tuple[Reference, ...]:
    with _page_file(folder, {"reference": list(tables)}, names=names) as place:
        return load_references(place)


def write_strategy(state: State, folder: Path) -> Path:
    """Write the page as a strategy file beside its pictures, as ``strategy.toml``.

    Raises:
        RefhooksError: As :meth:`State.references` says.
    """
    references = state.references(folder, names=True)
    plugins = state.run_plugins(folder, names=True)
    return dump_strategy(references, folder / EXPORTED, plugins=plugins)


def read_strategy(path: Path, state: State, folder: Path) -> State:
    """Return the page with what a strategy file says; prompt, seed and sizes stay.

    Args:
        path: Of the file, which may be a stranger's: of its paths only the names count, and these
            are looked for in the folder. A file for one picture is for the source on the page.
        state: The page before.
        folder: Of the session.

    Raises:
        StrategyError: It is no strategy file, or names what is not there; the message says what.
        UnknownNameError: It names what no live plugin registers.
    """
    copy = folder / f".opened-{secrets.token_hex(8)}{path.suffix.lower()}"
    copy.write_bytes(path.read_bytes())
    try:
        tables, plugins = _tables(copy, state, folder)
    except RefhooksError as error:
        raise type(error)(str(error).replace(str(copy), path.name)) from error
    finally:
        copy.unlink(missing_ok=True)
    cards = tuple(Card.of(table) for table in tables)
    return attrs.evolve(state, cards=cards, plugins=tuple(plugins))


def _tables(
    copy: Path, state: State, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tables of a file, as refhooks itself writes what it has read."""
    plugins = load_plugins(copy)
    try:
        what: Any = load_references(copy)
    except StrategyError as error:
        if "load_strategy" not in str(error):
            raise
        what = load_strategy(copy)
    data = tables_of(what, folder, plugins)
    if "reference" in data:
        tables = data["reference"]
    elif not state.cards:
        raise StrategyError(f"{copy} steers one picture; choose that first, on the tab Edit")
    else:
        others = [card.table(number) for number, card in enumerate(state.cards[1:], 2)]
        own = {key: data[key] for key in ("stage", "mask", "vision") if key in data}
        tables = [{"image": state.cards[0].image, **own}, *others]
    for number, table in enumerate(tables, 1):
        table["image"] = name_inside(table["image"], folder, f"reference {number}")
    kept = named({"reference": tables, "plugin": data.get("plugin", [])}, folder)
    return kept["reference"], kept["plugin"]

"""The page as a command line beside its strategy file, and in words what that cannot carry."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import Mask, RefhooksError, Stage, Strategy, load_registry
from refhooks_play._cells import inline
from refhooks_play._files import rewritten
from refhooks_play._state import EXPORTED, tables_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from refhooks_play._state import State

__all__ = ["FIELDS", "MORE_SAYS", "CommandLine", "command_line"]

OUTPUT = "edited.png"
CANNOT = "the command line cannot carry"
ELSEWHERE = (
    "run the edit here and download the picture: that opens on a page, and refhooks replay runs it"
)

Said = tuple[list[str], str]
Says = Callable[["State", "Path"], Said]


@attrs.frozen
class CommandLine:
    """A command line.

    Attributes:
        text: For a shell.
        left_out: What of the page it does not carry, a sentence each.
        files: What has to lie beside it.
    """

    text: str
    left_out: tuple[str, ...]
    files: tuple[str, ...]


def command_line(state: State, folder: Path, loading: Sequence[str] = ()) -> CommandLine:
    """Return the command that makes the edit of a page.

    Args:
        state: The page.
        folder: Where its pictures lie.
        loading: The words that name its model.

    Raises:
        RefhooksError: As :meth:`State.references` says.
    """
    words: list[str] = [f"--strategy={EXPORTED}"]
    left_out: list[str] = []
    for says in FIELDS.values():
        said, missing = says(state, folder)
        words += said
        left_out += [missing] if missing else []
    given = [state.cards[0].image if state.cards else "photo.png", _plain(state.prompt)]
    tail = [*loading, "-o", OUTPUT]
    if given[1].startswith("-"):  # else it would be read as an option
        line = ["refhooks", "edit", *words, *tail, "--", *given]
    else:
        line = ["refhooks", "edit", *given, *words, *tail]
    return CommandLine(shlex.join(line), tuple(left_out), _files(state))


def _files(state: State) -> tuple[str, ...]:
    """The names of all files that the strategy file and the command name."""
    found = [EXPORTED, *[card.image for card in state.cards]]

    def note(name: str, _label: str) -> str:
        found.append(name)
        return name

    cards = [card.table(number) for number, card in enumerate(state.cards, 1)]
    rewritten({"reference": cards, "plugin": state.plugins, "mask": [state.edit_mask or {}]}, note)
    return tuple(dict.fromkeys(found))


def _in_file(_state: State, _folder: Path) -> Said:
    """The strategy file has it."""
    return [], ""


def _prompt(state: State, _folder: Path) -> Said:
    missing = "" if "\0" not in state.prompt else f"{CANNOT} its NUL characters; {ELSEWHERE}"
    return [], missing


def _negative(state: State, _folder: Path) -> Said:
    if state.negative == " ":
        return [], ""
    missing = "" if "\0" not in state.negative else f"{CANNOT} its NUL characters; {ELSEWHERE}"
    return [f"--negative={_plain(state.negative)}"], missing


def _number(name: str) -> Says:
    def says(state: State, _folder: Path) -> Said:
        value = getattr(state, name)
        return ([] if value is None else [f"--{name}={value}"]), ""

    return says


def _cfg(state: State, _folder: Path) -> Said:
    return ([f"--cfg={state.cfg.strip()}"] if state.cfg.strip() else []), ""


def _denoise(state: State, _folder: Path) -> Said:
    return ([] if state.denoise == 1.0 else [f"--denoise={state.denoise!r}"]), ""


def _edit_mask(state: State, folder: Path) -> Said:
    """A file or a box, with a feather, turned round or not: nothing else has words."""
    mask, table = state.mask(folder), state.edit_mask
    if mask is None or table is None:
        return [], ""
    image, box = table.get("image"), table.get("box")
    text = image or (",".join(map(str, box)) if isinstance(box, list | tuple) else "")
    words = [f"--edit-mask={text}"]
    words += [f"--feather={mask.feather!r}"] if mask.feather else []
    words += ["--invert-masks"] if mask.invert else []
    try:
        shape = load_registry().shape_from(str(folder / image) if image else text)
        same = _same(Mask(shape, feather=mask.feather, invert=mask.invert), mask, folder)
    except RefhooksError:
        same = False
    if same and text:
        return words, ""
    return [], f"{CANNOT} an edit mask with {inline(table)}; {ELSEWHERE}"


def _same(one: Mask, other: Mask, folder: Path) -> bool:
    """Whether two masks are written alike; a number of a box may be written as a word."""
    written = []
    for mask in (one, other):
        strategy = Strategy(Stage("default"), masks=[mask])
        (table,) = tables_of(strategy, folder)["mask"]
        written.append({**table, "box": list(map(str, table.get("box", ())))})
    return written[0] == written[1]


def _more(state: State, folder: Path) -> Said:
    words: list[str] = []
    missing: list[str] = []
    for key, value in state.more.items():
        said = MORE_SAYS[key](value, state, folder) if key in MORE_SAYS else ""
        words += [said] if said else []
        missing += [] if said else [f"{CANNOT} {key} = {value}"]
    return words, "; ".join([*missing, ELSEWHERE] if missing else [])


def _compute(value: Any, state: State, folder: Path) -> str:
    """It goes with an edit mask alone, so it has words where that has."""
    if value == "all":
        return "--compute=all"
    given = {} if value == "inside" else value
    if not isinstance(given, dict) or not _edit_mask(state, folder)[0]:
        return ""
    options = ",".join(f"{name}={it}" for name, it in given.items() if it is not None)
    return f"--compute=inside:{options}" if options else "--compute=inside"


FIELDS: dict[str, Says] = {
    "cards": _in_file, "plugins": _in_file, "prompt": _prompt, "negative": _negative,
    "steps": _number("steps"), "seed": _number("seed"), "cfg": _cfg, "denoise": _denoise,
    "height": _number("height"), "width": _number("width"), "edit_mask": _edit_mask, "more": _more,
}  # fmt: skip
"""How each field of a state is said: its words, and what they leave out."""

MORE_SAYS: dict[str, Callable[[Any, State, Path], str]] = {
    "resolution": lambda value, _state, _folder: f"--resolution={value}",
    "vision_resolution": lambda value, _state, _folder: f"--vision-resolution={value}",
    "align": lambda value, _state, _folder: "--align" if value is True else "",
    "compute": _compute,
    "cache": lambda value, _state, _folder: f"--cache={value}" if isinstance(value, str) else "",
}
"""How each of :data:`refhooks_play._state.MORE` is said; empty: it has no words."""


def _plain(text: str) -> str:
    return text.replace("\0", "")

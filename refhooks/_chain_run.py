"""Running the edits of a chain: everything is refused before the first of them runs."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Literal

from refhooks._chain import HANDOVERS, Chain, ChainResult, Edit
from refhooks._compile import strengths_over
from refhooks._names import listed
from refhooks._opened import Handed
from refhooks._pictures import load_picture
from refhooks._plan import make_plan
from refhooks._request import MAX_SEED, make_request, whole
from refhooks._run import run_edit
from refhooks._strategy import Reference, Stage, Strategy
from refhooks.errors import InputError, RefhooksError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refhooks._editor import Editor
    from refhooks._request import Callback, Request
    from refhooks._result import EditResult


class ChainRun:
    """A chain on one editor.

    Args:
        editor: It runs the edits.
        image: The picture that the chain starts from.
        chain: The edits.
        seed: Of the first edit; the others follow.
        options: Arguments of ``make_request`` that all edits share.
        handover: How each edit gets what the one before made.

    Raises:
        InputError: An argument, or an edit, cannot be used; the message names the edit.
    """

    def __init__(
        self,
        editor: Editor,
        image: Any,
        chain: Chain,
        *,
        seed: int | None,
        options: dict[str, Any],
        handover: Literal["latents", "pixels"],
    ) -> None:
        if handover not in HANDOVERS:
            raise InputError(f"handover must be one of {listed(HANDOVERS)}; got {handover!r}")
        count = len(chain.edits)
        drawn = secrets.randbelow(2**31) if seed is None else seed
        self._first_seed = whole(drawn, "seed", 0, MAX_SEED - count)
        self._editor = editor
        self._chain = chain
        self._original = load_picture(image)
        self._options = options
        self._handover = handover
        self._strengths = _over_edits(editor, chain, "strength")
        self._denoise = _over_edits(editor, chain, "denoise")
        first = Handed(self._original, None)
        for place in range(count):
            with _named(place, count):
                make_plan(editor, self._request(place, first))

    def run(
        self, callback: Callback | None, on_result: Callable[[int, EditResult], object] | None
    ) -> ChainResult:
        """Run every edit, in order."""
        results: list[EditResult] = []
        previous = Handed(self._original, None)
        for place in range(len(self._chain.edits)):
            with _named(place, len(self._chain.edits)):
                request = self._request(place, previous, callback)
                result = run_edit(self._editor, request)
            results.append(result)
            if on_result is not None:
                on_result(place, result)
            previous = self._handed(result)
        return ChainResult(tuple(results))

    def _handed(self, result: EditResult) -> Handed:
        """Latents that no longer hold the picture, since a plugin changed it, are not handed on."""
        keeps = self._handover == "latents" and not result.retouched
        return Handed(result.image, result.latents if keeps else None)

    def _request(self, place: int, previous: Handed, callback: Callback | None = None) -> Request:
        edit = self._chain.edits[place]
        size = {} if place == 0 else self._size(previous)
        seed = self._first_seed + place if edit.seed is None else edit.seed
        own = {
            name: value for name in ("cfg", "steps") if (value := getattr(edit, name)) is not None
        }
        first, *others = self._references(place, edit, previous)
        return make_request(
            first,
            edit.prompt,
            references=[*others, *edit.references],
            negative_prompt=edit.negative_prompt,
            seed=seed,
            denoise=self._denoise_of(place, edit),
            edit_mask=edit.edit_mask,
            callback=callback,
            source=None if place == 0 else previous,
            **{**self._options, **size, **own},
        )

    def _size(self, previous: Handed) -> dict[str, int | None]:
        """Every edit has the size of the first one's output."""
        if previous.picture is self._original:  # only planned: what comes out is not there yet
            return {}
        return {
            "height": previous.picture.height,
            "width": previous.picture.width,
            "resolution": None,
        }

    def _references(self, place: int, edit: Edit, previous: Handed) -> list[Reference]:
        strategy = self._strategy(place, edit)
        if place == 0 or edit.reference == "original":
            return [Reference(self._original, strategy)]
        before = Reference(previous, strategy)  # type: ignore[arg-type]
        if edit.reference == "previous":
            return [before]
        return [before, Reference(self._original, edit.original)]

    def _strategy(self, place: int, edit: Edit) -> Any:
        if not self._strengths:
            return edit.strategy
        if isinstance(edit.strategy, Stage | Strategy):
            raise StrategyError(
                "the chain gives the strength of each edit, but this one has a"
                f" {type(edit.strategy).__name__}, which has strengths of its own; name only its"
                " method, or leave the chain's strength out"
            )
        return Stage(edit.strategy or self._editor.family.native, self._strengths[place])

    def _denoise_of(self, place: int, edit: Edit) -> float:
        if edit.denoise is not None:
            return edit.denoise
        return self._denoise[place] if self._denoise else 1.0


def _over_edits(
    editor: Editor, chain: Chain, name: Literal["strength", "denoise"]
) -> tuple[float, ...]:
    """One value an edit, from a number, a list or a schedule; none if the chain gives none."""
    given = getattr(chain, name)
    if given is None:
        return ()
    high = 2.0 if name == "strength" else 1.0
    return strengths_over(given, len(chain.edits), editor.registry, f"the chain's {name}", high)


@contextlib.contextmanager
def _named(place: int, count: int) -> Iterator[None]:
    label = f"edit {place + 1} of {count}"
    try:
        yield
    except RefhooksError as error:
        raise type(error)(f"{label}: {error}") from error
    except BaseException as error:
        error.add_note(f"raised by {label} of the chain")
        raise

"""Running the edits of a chain: everything is refused before the first of them runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from refhooks._apps.chains.chain import HANDOVERS, Chain, ChainResult
from refhooks._apps.chains.requests import Requests, named
from refhooks._apps.editing.edit import run_edit
from refhooks._base.names import listed
from refhooks._base.shown import one_of, shown
from refhooks._base.turns import seconds_of
from refhooks._core.planning.input_pictures import HandedOn
from refhooks._core.planning.planner import make_plan
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.request import Callback


class ChainRun:
    """A chain on one editor.

    Args:
        editor: It runs the edits.
        image: The picture that the chain starts from.
        chain: The edits.
        seed: Of the first edit; the others follow.
        options: Arguments of ``make_request`` that all edits share.
        handover: How each edit gets what the one before made.
        wait: As for one edit; each of them waits for its own turn.

    Raises:
        InputError: An argument, or an edit, cannot be used; the message names the edit.
    """

    def __init__(
        self,
        editor: LoadedModel,
        image: Any,
        chain: Chain,
        seed: int | None,
        options: dict[str, Any],
        handover: Literal["latents", "pixels"],
        wait: bool | float = False,
    ) -> None:
        if not one_of(handover, HANDOVERS):
            raise InputError(f"handover must be one of {listed(HANDOVERS)}; got {shown(handover)}")
        seconds_of(wait)
        self._editor = editor
        self._wait = wait
        self._count = len(chain.edits)
        self._handover = handover
        self._requests = Requests(
            image,
            chain,
            seed=seed,
            options=options,
            registry=editor.registry,
            native=editor.family.native,
        )
        previous = self._requests.original
        for place in range(self._count):
            with named(place, self._count):
                plan = make_plan(editor, self._requests.request(place, previous))
            if place == 0:
                previous = self._requests.made(plan.exact)

    def run(
        self, callback: Callback | None, on_result: Callable[[int, EditResult], object] | None
    ) -> ChainResult:
        """Run every edit, in order, up to one that the user interrupts."""
        results: list[EditResult] = []
        previous = self._requests.original
        for place in range(self._count):
            with named(place, self._count):
                request = self._requests.request(place, previous, callback)
                result = run_edit(self._editor, request, wait=self._wait)
            results.append(result)
            if on_result is not None:
                on_result(place, result)
            if result.interrupted:
                break
            previous = self._handed(result)
        return ChainResult(tuple(results))

    def _handed(self, result: EditResult) -> HandedOn:
        """Latents that no longer hold the picture, since a plugin changed it, are not handed on."""
        keeps = self._handover == "latents" and not result.retouched
        materials = result.materials
        name = "" if materials is None else materials.saved.get(0, "")
        origin = None if materials is None or not materials.sources else materials.sources[0]
        return HandedOn(result.image, result.latents if keeps else None, name, origin=origin)

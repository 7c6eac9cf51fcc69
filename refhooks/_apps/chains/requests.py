"""The edits of a chain as requests: what each of them asks for, once there is something before."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Literal

from refhooks._base.pictures import load_original
from refhooks._core.planning.bounds import MAX_DENOISE, MAX_SEED, MAX_STRENGTH, read_seed
from refhooks._core.planning.compilation import strengths_over
from refhooks._core.planning.input_pictures import HandedOn
from refhooks._core.planning.request import make_request
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks.errors import RefhooksError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from refhooks._apps.chains.chain import Chain, Edit
    from refhooks._base.size import Size
    from refhooks._core.contract.methods import Method
    from refhooks._core.planning.request import Callback, Request
    from refhooks._core.plugins.registry import Registry


class Requests:
    """The requests of a chain.

    Args:
        image: The picture that the chain starts from.
        chain: The edits.
        seed: Of the first edit; the others follow. ``None`` draws one.
        options: Arguments of ``make_request`` that all edits share.
        registry: Short forms are read by its schedules.
        native: Method of an edit that names none.

    Attributes:
        original: What the chain starts from, as an edit is handed it.

    Raises:
        InputError: The picture, the seed, or what the chain says of all edits cannot be used.
    """

    def __init__(
        self,
        image: Any,
        chain: Chain,
        *,
        seed: int | None,
        options: dict[str, Any],
        registry: Registry,
        native: str,
    ) -> None:
        drawn = secrets.randbelow(2**31) if seed is None else seed
        self._first_seed = read_seed(drawn, high=MAX_SEED - len(chain.edits))
        self._chain = chain
        self._options = {**options, **_resolution(chain, options)}
        self._image = image
        self._native = native
        self._strengths = over_edits(registry, chain, "strength")
        self._denoise = over_edits(registry, chain, "denoise")
        self.original = HandedOn(load_original(image), None)

    def request(self, place: int, previous: HandedOn, callback: Callback | None = None) -> Request:
        """Return what an edit asks for.

        Args:
            place: Its number, from 0.
            previous: What the edit before made; ``original`` where that is not there yet.
            callback: Called after each prediction.

        Raises:
            InputError: The edit cannot be used.
        """
        edit = self._chain.edits[place]
        own = {
            name: value for name in ("cfg", "steps") if (value := getattr(edit, name)) is not None
        }
        first, *others = self._references(place, edit, previous)
        return make_request(
            first,
            edit.prompt,
            references=[*others, *edit.references],
            negative_prompt=edit.negative_prompt,
            seed=self._first_seed + place if edit.seed is None else edit.seed,
            denoise=denoise_of(edit, self._denoise, place),
            edit_mask=edit.edit_mask,
            compute=edit.compute,
            callback=callback,
            source=None if place == 0 else previous,
            **{**self._options, **self._size(previous), **own},
        )

    def made(self, size: Size) -> HandedOn:
        """Return what stands for the first edit's output, as large as it, until that is there."""
        return HandedOn(self.original.picture.resize((size.width, size.height)), None)

    def _size(self, previous: HandedOn) -> dict[str, Any]:
        """Every edit has the size of the first one's output."""
        if previous is self.original or self._options.get("resolution") == "native":
            return {}
        return {
            "height": previous.picture.height,
            "width": previous.picture.width,
            "resolution": None,
        }

    def _references(self, place: int, edit: Edit, previous: HandedOn) -> list[Reference]:
        strategy = strategy_of(edit, self._strengths, place, self._native)
        original: Any = self._image
        if place == 0 or edit.reference == "original":
            return [Reference(original, strategy)]
        before = Reference(previous, strategy)  # type: ignore[arg-type]
        if edit.reference == "previous":
            return [before]
        return [before, Reference(original, edit.original)]


def _resolution(chain: Chain, options: Mapping[str, Any]) -> dict[str, Any]:
    """The size that the chain itself says."""
    if chain.resolution is None:
        return {}
    for name in ("resolution", "height", "width"):
        if options.get(name) is not None:
            raise StrategyError(
                f"the chain has a resolution of its own, {chain.resolution}; leave {name} out"
            )
    return {"resolution": chain.resolution}


def over_edits(
    registry: Registry, chain: Chain, name: Literal["strength", "denoise"]
) -> tuple[float, ...]:
    """Return one value an edit, from a number, a list or a schedule; none if the chain gives none.

    Raises:
        StrategyError: A list is not as long as the chain, or a value is out of its range.
        UnknownNameError: A short form that no live plugin knows.
    """
    setting = getattr(chain, name)
    if setting is None:
        return ()
    high = MAX_STRENGTH if name == "strength" else MAX_DENOISE
    return strengths_over(setting, len(chain.edits), registry, f"the chain's {name}", high)


def strategy_of(edit: Edit, strengths: tuple[float, ...], place: int, native: str | Method) -> Any:
    """Return how an edit's reference steers, at the chain's strength if it gives any.

    Raises:
        StrategyError: Both the chain and the edit say a strength.
    """
    if not strengths:
        return edit.strategy
    if isinstance(edit.strategy, Strategy):
        raise StrategyError(
            "the chain gives the strength of each edit, but this one has a strategy with strengths"
            " of its own; name only its method, or leave the chain's strength out"
        )
    return Stage(edit.strategy or native, strengths[place])


def denoise_of(edit: Edit, denoise: tuple[float, ...], place: int) -> float:
    """Return how far an edit goes: as it says itself, else as the chain says."""
    if edit.denoise is not None:
        return edit.denoise
    return denoise[place] if denoise else 1.0


@contextlib.contextmanager
def named(place: int, count: int) -> Iterator[None]:
    """Say of an error in which edit it was raised."""
    label = f"edit {place + 1} of {count}"
    try:
        yield
    except RefhooksError as error:
        if error.args != (str(error),):  # a plugin's own, which says itself what it is made of
            error.add_note(f"raised by {label} of the chain")
            raise
        error.args = (f"{label}: {error}",)
        raise
    except BaseException as error:
        error.add_note(f"raised by {label} of the chain")
        raise

"""Actors that make groups of jobs, and who hands the groups to them."""

from __future__ import annotations

import collections
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import attrs

from refhooks._base.advice import warn_user
from refhooks.batch._entry import unloaded
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.plugins.registry import Registry
    from refhooks.batch._digest import ModelFacts
    from refhooks.batch._folder import Folder
    from refhooks.batch._groups import Group

__all__ = ["Crew"]

_LOOK: Final = 0.2  # seconds after which it is asked again whether to stop
_END: Final = 10.0  # seconds for an actor that was killed to be gone
_LONG: Final = 300.0  # seconds without an actor after which it is told
_DEATHS: Final = 5  # of actors with one group, which is to blame then
_IN_A_ROW: Final = 8  # deaths of actors with nothing made in between, after which no more are begun


@attrs.define
class _Work:
    """Groups on their way.

    Attributes:
        groups: All of them.
        settled: Called with the number of each that is over.
        left: Numbers of those that are to be handed out.
        later: Of those that another process is making.
        deaths: How many actors died with which.
    """

    groups: Sequence[Group]
    settled: Callable[[int], object]
    left: collections.deque[int] = attrs.field(factory=collections.deque)
    later: list[int] = attrs.field(factory=list)
    deaths: collections.Counter[int] = attrs.field(factory=collections.Counter)


@attrs.define
class Crew:
    """Actors that make groups; one that dies is followed by another.

    Attributes:
        ray: The library, connected.
        start: Starts an actor.
        most: How many there may be.
        part: Of a GPU, that an actor has.
        registry: What names in jobs mean.
        folder: Of the outputs.
    """

    ray: Any
    start: Callable[[], Any]
    most: int
    part: float
    registry: Registry
    folder: Folder
    _facts: ModelFacts | None = attrs.field(default=None, init=False)
    _coming: dict[Any, Any] = attrs.field(factory=dict, init=False)  # calls to actors
    _busy: dict[Any, tuple[Any, int]] = attrs.field(factory=dict, init=False)  # and their groups
    _idle: list[Any] = attrs.field(factory=list, init=False)
    _in_a_row: int = attrs.field(default=0, init=False)
    _warned: set[str] = attrs.field(factory=set, init=False)

    @property
    def facts(self) -> ModelFacts:
        """Of the model that the first of them has."""
        if self._facts is None:
            raise RefhooksError("no actor has its model yet")
        return self._facts

    @property
    def loaded(self) -> LoadedModel:
        """What stands in the model's place in this process."""
        return unloaded(self.registry, self.facts.native)

    def begin(self) -> None:
        """Start one, and wait until it has its model; the others follow once there is work.

        Raises:
            RefhooksError: It cannot have it.
        """
        began = time.monotonic()
        while not self._idle:
            if not self._coming:
                self._start()
            self._look(_Work((), lambda _: None))
            if time.monotonic() - began > _LONG:
                self._warn(
                    f"no actor has its model after {_LONG:g} s: it is loading it, or waits for"
                    " room; ray status tells"
                )

    def end(self) -> None:
        """End all of them, and wait for those that were at work."""
        for actor in (*self._coming.values(), *self._idle, *(it for it, _ in self._busy.values())):
            with contextlib.suppress(Exception):  # it may be dead
                self.ray.kill(actor)
        if self._busy:
            self.ray.wait(list(self._busy), num_returns=len(self._busy), timeout=_END)

    def divide(
        self,
        groups: Sequence[Group],
        stop: Callable[[], bool],
        settled: Callable[[int], object],
        waits: Callable[[int], object] | None,
    ) -> None:
        """Hand groups to whoever is idle, until all are over; see ``Hands``.

        Raises:
            RefhooksError: An output cannot be written, or actors die whatever they are given.
        """
        work = _Work(groups, settled, collections.deque(range(len(groups))))
        while True:
            stopped = stop()
            if not stopped:
                self._hand_out(work)
            if not self._busy and (stopped or not (work.left or work.later)):
                return
            self._look(work)
            if not work.left and work.later and not self._busy:
                if waits is not None:
                    waits(len(work.later))
                    waits = None
                time.sleep(_LOOK)
                work.left.extend(work.later)
                work.later.clear()

    def _start(self) -> None:
        actor = self.start()
        self._coming[actor.load.remote()] = actor

    def _hand_out(self, work: _Work) -> None:
        while self._idle and work.left:
            number = work.left.popleft()
            if self.folder.is_over(work.groups[number]):
                work.settled(number)
                continue
            actor = self._idle.pop()
            self._busy[actor.make.remote(work.groups[number])] = (actor, number)
        free = self.most - len(self._coming) - len(self._busy) - len(self._idle)
        for _ in range(min(free, len(work.left) - len(self._coming))):
            self._start()

    def _look(self, work: _Work) -> None:
        """Wait a moment for an answer of one of them."""
        calls = [*self._busy, *self._coming]
        if not calls:
            return
        ready, _ = self.ray.wait(calls, num_returns=1, timeout=_LOOK)
        for call in ready:
            if call in self._busy:
                self._answered(call, work)
            else:
                self._came(call)

    def _came(self, call: Any) -> None:
        """Note an actor that has its model, or none."""
        actor = self._coming.pop(call)
        try:
            facts, warned = self.ray.get(call)
            if self._facts is None:
                self._facts = attrs.evolve(facts, room=int(facts.room * self.part))
            elif facts.identity != self._facts.identity:
                raise InputError("it has another model than the first; all machines need the same")  # noqa: TRY301  told as what it raises itself
        except self.ray.exceptions.RayTaskError as error:
            self._useless(actor, _cause(error))
        except InputError as error:
            self._useless(actor, error)
        except self.ray.exceptions.RayError as error:
            self._died(error)
        else:
            self._idle.append(actor)
            self._warn(*warned)

    def _answered(self, call: Any, work: _Work) -> None:
        """Note what has become of a group."""
        actor, number = self._busy.pop(call)
        try:
            answer, warned = self.ray.get(call)
        except self.ray.exceptions.RayTaskError as error:
            self._idle.append(actor)
            raise _cause(error) from error
        except self.ray.exceptions.RayError as error:
            self._lost(number, work, error)
            return
        self._in_a_row = 0
        self._idle.append(actor)
        self._warn(*warned)
        if answer is None:
            work.later.append(number)
        else:
            self.folder.hear(answer)
            work.settled(number)

    def _lost(self, number: int, work: _Work, error: Exception) -> None:
        """Let another actor make a group, unless one after the other died of it."""
        work.deaths[number] += 1
        if work.deaths[number] < _DEATHS:
            work.left.appendleft(number)
        else:
            told = (
                f"{_DEATHS} actors died while they made it and what runs in one pass with it"
                f" ({_reason(error)}); it may take more memory than there is: try --batch 1"
            )
            self.folder.failed(work.groups[number].members, RefhooksError(told))
            work.settled(number)
        self._died(error)

    def _died(self, error: Exception) -> None:
        self._in_a_row += 1
        if self._in_a_row >= _IN_A_ROW:
            raise RefhooksError(
                f"{_IN_A_ROW} actors of Ray died, and nothing was made in between: {_reason(error)}"
            ) from error

    def _useless(self, actor: Any, error: BaseException) -> None:
        """Do without an actor that cannot begin; nobody is started in its place."""
        with contextlib.suppress(Exception):  # it may be dead
            self.ray.kill(actor)
        self.most -= 1
        if self._facts is None or not self.most:
            raise error
        self._warn(f"an actor was left out: {error}")

    def _warn(self, *messages: str) -> None:
        """Warn once of what each of them may say."""
        for message in messages:
            if message not in self._warned:
                self._warned.add(message)
                warn_user(message)


def _cause(error: Any) -> Exception:
    """What was raised in an actor."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, RefhooksError) else error


def _reason(error: Exception) -> str:
    """Why an actor died, as Ray says it, on one line."""
    return " ".join(str(error).split())[:500]

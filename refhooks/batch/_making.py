"""One group of jobs, made: what succeeds is written, what fails becomes a row."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from refhooks._apps.editing.full_memory import telling_full_memory
from refhooks._attending.named_caches import as_step_cache, with_step_cache
from refhooks._base.once import keeping
from refhooks._base.shown import shown
from refhooks._base.turns import exclusive
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import make_request
from refhooks._editor import Editor
from refhooks.batch._digest import facts_of
from refhooks.batch._together import edit_together
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Callback, Request
    from refhooks.batch._digest import ModelFacts
    from refhooks.batch._folder import Folder
    from refhooks.batch._groups import Group, Member

__all__ = ["Hands", "Maker", "open_model"]


class Hands(Protocol):
    """Who makes groups: the model of this process, or those of other processes.

    Attributes:
        facts: Of the model.
        loaded: It, or what stands in its place.
    """

    @property
    def facts(self) -> ModelFacts: ...
    @property
    def loaded(self) -> LoadedModel: ...

    def divide(
        self,
        groups: Sequence[Group],
        stop: Callable[[], bool],
        settled: Callable[[int], object],
        waits: Callable[[int], object] | None,
    ) -> None:
        """See to it that every group is over, made here or by others; or stop.

        Args:
            groups: What is missing.
            stop: Asked before each group; once it says yes, no more is begun.
            settled: Called with the number of each group that is over.
            waits: Called once, with their number, when others are making all that is left.
        """
        ...


@attrs.frozen
class _Ready:
    """A job that is planned."""

    member: Member
    request: Request
    plan: Plan


def open_model(model: Any) -> Editor:
    """Return the editor that a caller means.

    Args:
        model: An editor, what :meth:`refhooks.Editor.from_pretrained` takes, or a function.

    Raises:
        InputError: It is none of them.
        ModelError: It cannot be loaded.
    """
    if isinstance(model, Editor):
        return model
    if isinstance(model, str | Path):
        return Editor.from_pretrained(model)
    editor = model() if callable(model) else model
    if not isinstance(editor, Editor):
        raise InputError(f"model must be an Editor, a name or a folder, got {shown(editor)}")
    return editor


class _StoppedError(Exception):
    """No more is begun."""


@attrs.frozen
class Maker:
    """Makes what groups lack, with the model of this process.

    Attributes:
        loaded: It runs the edits.
        folder: Where they go, and what fails.
        facts: Of the model.
        callback: Of the edits.
    """

    loaded: LoadedModel
    folder: Folder
    facts: ModelFacts = attrs.field(
        default=attrs.Factory(lambda self: facts_of(self.loaded), takes_self=True)
    )
    callback: Callback | None = None

    def divide(
        self,
        groups: Sequence[Group],
        stop: Callable[[], bool],
        settled: Callable[[int], object],
        waits: Callable[[int], object] | None,
    ) -> None:
        """Make what nobody else makes, and wait for the rest; see :class:`Hands`."""

        def is_over(number: int) -> bool:
            if stop():
                raise _StoppedError
            over = self.folder.is_over(groups[number])
            if over:
                settled(number)
            return over

        def make(number: int) -> None:
            self.make(groups[number])
            settled(number)

        with contextlib.suppress(_StoppedError):
            self.folder.claims.divide([group.name for group in groups], is_over, make, waits=waits)

    def settle(self, group: Group) -> bool:
        """Make a group, unless another process is at it: then ``False``.

        Raises:
            RefhooksError: As :meth:`make`.
        """
        return self.folder.claims.settled(
            group.name, lambda: self.folder.is_over(group), lambda: self.make(group)
        )

    def make(self, group: Group) -> None:
        """Run a group as it was cut, and write what is missing of it.

        A job that cannot be planned is left out; where the pass fails, as on a full device, each
        half of it is tried alone, down to single jobs.

        Raises:
            InputError: An output, or ``errors.jsonl``, cannot be written.
            RefhooksError: The pass was interrupted.
        """
        family = self.loaded.family
        with keeping(), exclusive(family.transformer, None), contextlib.ExitStack() as on:
            try:
                cache = as_step_cache(group.members[0].entry.given["cache"])  # theirs is the same
                on.enter_context(with_step_cache(family, cache))
            except Exception as error:  # noqa: BLE001  a cache that this model cannot have
                self.folder.failed(group.members, error)
                return
            self._pass([it for it in map(self._ready, group.members) if it is not None])

    def _ready(self, member: Member) -> _Ready | None:
        try:
            arguments = member.entry.arguments(self.loaded)
            request = make_request(**arguments, callback=self.callback)
            return _Ready(member, request, make_plan(self.loaded, request))
        except Exception as error:  # noqa: BLE001  a bad job, or a plugin, must not end the others
            self.folder.failed([member], error)
            return None

    def _pass(self, ready: Sequence[_Ready]) -> None:
        if all(self.folder.is_settled(it.member) for it in ready):
            return
        try:
            with telling_full_memory(self.loaded, ready[0].request):
                result = self._edited(ready)
        except Exception as error:  # noqa: BLE001  likewise
            if len(ready) == 1:
                self.folder.failed([ready[0].member], error)
                return
        else:
            self._keep(ready, result)
            return
        middle = (len(ready) + 1) // 2
        for half in (ready[:middle], ready[middle:]):
            self._pass(half)

    def _edited(self, ready: Sequence[_Ready]) -> EditResult:
        requests = [it.request for it in ready]
        return edit_together(self.loaded, requests, [it.plan for it in ready])

    def _keep(self, ready: Sequence[_Ready], result: EditResult) -> None:
        if result.interrupted:
            raise RefhooksError(
                "the batch was interrupted (pipe._interrupt); what was made until then is kept"
            )
        for number, it in enumerate(ready):
            if not self.folder.is_settled(it.member):
                self.folder.outputs.keep(it.member, result, number)

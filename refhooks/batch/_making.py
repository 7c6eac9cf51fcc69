"""One group of jobs, made: what succeeds is written, what fails becomes a row."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs

from refhooks._apps.editing.full_memory import telling_full_memory
from refhooks._attending.named_caches import as_step_cache, with_step_cache
from refhooks._base.once import keeping
from refhooks._base.turns import exclusive
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import make_request
from refhooks.batch._together import edit_together
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Callback, Request
    from refhooks.batch._failures import Failures
    from refhooks.batch._groups import Group, Member
    from refhooks.batch._outputs import Outputs

__all__ = ["Maker"]


@attrs.frozen
class _Ready:
    """A job that is planned."""

    member: Member
    request: Request
    plan: Plan


@attrs.frozen
class Maker:
    """Makes what a group lacks.

    Attributes:
        editor: It runs the edits.
        outputs: Where they go.
        failures: Where those go that fail.
        callback: Of the edits.
    """

    editor: LoadedModel
    outputs: Outputs
    failures: Failures
    callback: Callback | None = None

    def is_settled(self, member: Member) -> bool:
        """Return whether a job is done, or has failed."""
        return self.outputs.is_there(member) or self.failures.message(member.entry) is not None

    def make(self, group: Group) -> None:
        """Run a group as it was cut, and write what is missing of it.

        A job that cannot be planned is left out; where the pass fails, as on a full device, each
        half of it is tried alone, down to single jobs.

        Raises:
            InputError: An output, or ``errors.jsonl``, cannot be written.
            RefhooksError: The pass was interrupted.
        """
        family = self.editor.family
        with keeping(), exclusive(family.transformer, None), contextlib.ExitStack() as on:
            try:
                cache = as_step_cache(group.members[0].entry.given["cache"])  # theirs is the same
                on.enter_context(with_step_cache(family, cache))
            except Exception as error:  # noqa: BLE001  a cache that this model cannot have
                for member in group.members:
                    self._failed(member, error)
                return
            self._pass([it for it in map(self._ready, group.members) if it is not None])

    def _ready(self, member: Member) -> _Ready | None:
        try:
            arguments = member.entry.arguments(self.editor)
            request = make_request(**arguments, callback=self.callback)
            return _Ready(member, request, make_plan(self.editor, request))
        except Exception as error:  # noqa: BLE001  a bad job, or a plugin, must not end the others
            self._failed(member, error)
            return None

    def _pass(self, ready: Sequence[_Ready]) -> None:
        if all(self.is_settled(it.member) for it in ready):
            return
        try:
            with telling_full_memory(self.editor, ready[0].request):
                result = self._edited(ready)
        except Exception as error:  # noqa: BLE001  likewise
            if len(ready) == 1:
                self._failed(ready[0].member, error)
                return
        else:
            self._keep(ready, result)
            return
        middle = (len(ready) + 1) // 2
        for half in (ready[:middle], ready[middle:]):
            self._pass(half)

    def _edited(self, ready: Sequence[_Ready]) -> EditResult:
        requests = [it.request for it in ready]
        return edit_together(self.editor, requests, [it.plan for it in ready])

    def _keep(self, ready: Sequence[_Ready], result: EditResult) -> None:
        if result.interrupted:
            raise RefhooksError(
                "the batch was interrupted (pipe._interrupt); what was made until then is kept"
            )
        for number, it in enumerate(ready):
            if not self.is_settled(it.member):
                self.outputs.keep(it.member, result, number)

    def _failed(self, member: Member, error: BaseException) -> None:
        """A job that was done before stays done, whatever its group meets now."""
        if not self.is_settled(member):
            self.failures.add(member.entry, error)

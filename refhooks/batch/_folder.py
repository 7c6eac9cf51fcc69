"""What the folder of a batch says of its jobs, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs

from refhooks._base.claims import Claims
from refhooks.batch._failures import Failures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from refhooks.batch._entry import Entry
    from refhooks.batch._groups import Group, Member
    from refhooks.batch._outputs import Outputs

__all__ = ["Answer", "Folder"]


@attrs.frozen
class Answer:
    """What somebody who made a group says of its jobs.

    Attributes:
        made: Ids of those whose outputs are there.
        failed: Why each of the others failed, by its id.
    """

    made: tuple[str, ...]
    failed: dict[str, str]


@attrs.frozen
class Folder:
    """Outputs, failures, and who is making what.

    Attributes:
        outputs: The pictures.
        failures: The rows of ``errors.jsonl``.
        claims: Of the groups, and of that file.
    """

    outputs: Outputs
    failures: Failures
    claims: Claims
    _heard: dict[str, str | None] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, outputs: Outputs) -> Self:
        """Look at the folder of some outputs."""
        claims = Claims(outputs.folder)
        return cls(outputs, Failures(outputs.folder, claims), claims)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.outputs.folder

    def is_there(self, member: Member) -> bool:
        """Return whether a job's output is there, whole, and of this very job."""
        name = member.entry.id
        if name in self._heard:
            return self._heard[name] is None
        return self.outputs.is_there(member)

    def message(self, entry: Entry) -> str | None:
        """Return why a job failed; ``None``: it did not, or was another one when it did."""
        return self._heard.get(entry.id) or self.failures.message(entry)

    def is_settled(self, member: Member) -> bool:
        """Return whether a job is done, or has failed."""
        return self.is_there(member) or self.message(member.entry) is not None

    def is_over(self, group: Group) -> bool:
        """Return whether all jobs of a group are settled."""
        return all(self.is_settled(member) for member in group.members)

    def failed(self, members: Sequence[Member], error: BaseException) -> None:
        """Make rows of jobs that failed; one that is settled stays as it is.

        Raises:
            InputError: ``errors.jsonl`` cannot be written.
        """
        for member in members:
            if not self.is_settled(member):
                self.failures.add(member.entry, error)

    def answer(self, group: Group) -> Answer:
        """Say what has become of a group that is over."""
        made = tuple(it.entry.id for it in group.members if self.is_there(it))
        others = [it.entry for it in group.members if it.entry.id not in made]
        return Answer(made, {entry.id: self.message(entry) or "" for entry in others})

    def hear(self, answer: Answer) -> None:
        """Believe what another process says, whose files may not be seen here at once."""
        self._heard.update(dict.fromkeys(answer.made))
        self._heard.update(answer.failed)

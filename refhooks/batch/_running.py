"""``refhooks.batch.run``: every job of a list made once, in a folder, by whoever works on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.claims import Claims
from refhooks._base.files import try_writing
from refhooks._base.folders import make_folder, no_empty_folders
from refhooks._base.numbers import whole
from refhooks._base.outputs import check_output
from refhooks._base.shown import shown
from refhooks._base.unfinished import sweep
from refhooks._core.plugins.loading import load_registry
from refhooks._editor import Editor
from refhooks.batch._digest import facts_of
from refhooks.batch._failures import Failures
from refhooks.batch._groups import cut
from refhooks.batch._making import Maker
from refhooks.batch._outputs import Outputs, check_apart
from refhooks.batch._reading import read_jobs
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from refhooks.batch._entry import Entry
    from refhooks.batch._groups import Cut, Group, Member

__all__ = ["Progress", "Summary", "run"]

TOY = "toy"
_ROOM = 2**20  # bytes that are tried before anything runs


@attrs.frozen
class Progress:
    """How far a batch is.

    Attributes:
        done: Edits of this run, and those that others made meanwhile.
        total: Edits that were missing when it began.
    """

    done: int
    total: int


@attrs.frozen
class Summary:
    """What came of a batch.

    Attributes:
        out: The folder.
        jobs: How many there are.
        made: How many outputs were made now, by this run or by another that shares the folder.
        there: How many were there before.
        failed: Why each job failed that did, by its id; ``errors.jsonl`` says it too.
        left: How many are neither made nor failed, because it was stopped.
    """

    out: Path
    jobs: int
    made: int
    there: int
    failed: dict[str, str] = attrs.field(factory=dict)
    left: int = 0


def run(
    jobs: str | Path | Sequence[Mapping[str, Any]],
    *,
    out: str | Path,
    model: Editor | str | Path | Callable[[], Editor] = TOY,
    prompt: str | None = None,
    shared: Mapping[str, Any] | None = None,
    most: int | None = None,
    retry: bool = False,
    progress: Callable[[Progress], object] | None = None,
    stop: Callable[[], bool] | None = None,
    waits: Callable[[int], object] | None = None,
) -> Summary:
    """Make the jobs of a list, each exactly once; what is there is not made again.

    An output counts as done when the recipe inside says that it is of this very job: its fields,
    what is in its pictures and files, and the model. Several processes may run one list into one
    folder: each job is made by one of them, and what a killed one had begun is made by another.

    Args:
        jobs: A ``.jsonl`` or ``.csv`` file, a folder of pictures, or a list of mappings. Each job
            has ``id``, ``image`` and ``prompt``, and may have ``references``, ``strategy``,
            ``method``, ``strength``, ``preset``, ``negative_prompt``, ``cfg``, ``steps``, ``seed``
            (0 if it says none), ``height``, ``width``, ``resolution``, ``vision_resolution``,
            ``denoise``, ``edit_mask``, ``compute``, ``cache`` and ``align``, as
            :meth:`refhooks.Editor.edit` takes them, with pictures and masks as paths in the folder
            of the file.
        out: A folder, made if it is not there: ``ID.png`` for each job, ``errors.jsonl`` for those
            that failed.
        model: An editor, what :meth:`refhooks.Editor.from_pretrained` takes, or a function that
            returns an editor, which is called once the jobs have been checked.
        prompt: For a folder of pictures: what to do with each.
        shared: What all jobs have unless they say it themselves, in the same words.
        most: Jobs in one pass, 1–4096; ``None``: by an estimate of what the device has room for, up
            to 16. Jobs in one pass differ from single edits by rounding.
        retry: Also try the jobs again that failed before.
        progress: Called when edits are done.
        stop: Asked before each pass; once it says yes, no more is begun.
        waits: Called once, with the number of passes, when others are making all that is left.

    Raises:
        InputError: Jobs cannot be used, all of which are told, before the first edit; the folder
            cannot be used, or an output cannot be written.
        ModelError: The model cannot be loaded.
    """
    most = None if most is None else whole(most, "most", 1, 4096)
    registry = model.registry if isinstance(model, Editor) else load_registry()
    _, entries = read_jobs(jobs, registry, prompt=prompt, shared=shared or {})
    with no_empty_folders():
        outputs = open_outputs(out, entries)
        editor = _editor(model)
        work = Work.prepared(editor, entries, outputs, most, retry=retry)
    work.fill(progress or (lambda _: None), stop or (lambda: False), waits)
    return work.summary()


def open_outputs(out: str | Path, entries: Sequence[Entry]) -> Outputs:
    """Make the folder of the outputs, and sweep it.

    Raises:
        InputError: It cannot be used, or an output would take the place of what is read.
    """
    outputs = Outputs(Path(out))
    check_apart(outputs, entries)
    try:
        make_folder(outputs.folder)
    except OSError as error:
        raise InputError(f"{outputs.folder} cannot be made: {error}") from error
    sweep(outputs.folder)
    try_writing(check_output(outputs.folder / "output.png"), _ROOM)
    return outputs


def _editor(model: Any) -> Editor:
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


@attrs.define
class Work:
    """A list of jobs on its way.

    Attributes:
        entries: All jobs.
        cut: Their groups.
        maker: Makes one.
        claims: Who makes which.
        there: Ids of the jobs that were done before.
    """

    entries: tuple[Entry, ...]
    cut: Cut
    maker: Maker
    claims: Claims
    there: frozenset[str]

    @classmethod
    def prepared(
        cls,
        editor: Editor,
        entries: tuple[Entry, ...],
        outputs: Outputs,
        most: int | None,
        *,
        retry: bool,
    ) -> Work:
        """Cut the list, and see what of it is there."""
        claims = Claims(outputs.folder)
        failures = Failures(outputs.folder, claims)
        parts = cut(entries, facts_of(editor), editor, most)
        there = frozenset(
            member.entry.id
            for group in parts.groups
            for member in group.members
            if outputs.is_there(member)
        )
        _clear(failures, entries, there, retry=retry)
        for entry, error in parts.bad:
            if failures.message(entry) is None:
                failures.add(entry, error)
        return cls(entries, parts, Maker(editor, outputs, failures), claims, there)

    def fill(
        self,
        progress: Callable[[Progress], object],
        stop: Callable[[], bool],
        waits: Callable[[int], object] | None,
    ) -> None:
        """Make what is missing, or wait until another process has."""
        missing = [group for group in self.cut.groups if not self._is_over(group)]
        members = [it for group in missing for it in group.members if not self._is_done(it)]
        total, done = len(members), 0
        progress(Progress(0, total))

        def is_over(number: int) -> bool:
            nonlocal done
            if stop():
                raise _StoppedError
            over = self._is_over(missing[number])
            if over:
                done += sum(it.entry.id not in self.there for it in missing[number].members)
                progress(Progress(min(done, total), total))
            return over

        def make(number: int) -> None:
            nonlocal done
            before = sum(self._is_done(it) for it in missing[number].members)
            self.maker.make(missing[number])
            done += len(missing[number].members) - before
            progress(Progress(min(done, total), total))

        names = [group.name for group in missing]
        try:
            self.claims.divide(names, is_over, make, waits=waits)
        except _StoppedError:
            return
        finally:
            there = {it.entry.id for group in missing for it in group.members if self._made(it)}
            _clear(self.maker.failures, self.entries, self.there | there, retry=False)

    def _is_done(self, member: Member) -> bool:
        return self.maker.is_settled(member)

    def _made(self, member: Member) -> bool:
        return self.maker.outputs.is_there(member)

    def _is_over(self, group: Group) -> bool:
        return all(self._is_done(member) for member in group.members)

    def summary(self) -> Summary:
        """Return what came of it."""
        members = [member for group in self.cut.groups for member in group.members]
        made = {it.entry.id for it in members if self._made(it)}
        failed = {}
        for entry in self.entries:
            message = None if entry.id in made else self.maker.failures.message(entry)
            if message is not None:
                failed[entry.id] = message
        return Summary(
            out=self.maker.outputs.folder,
            jobs=len(self.entries),
            made=len(made - self.there),
            there=len(made & self.there),
            failed=failed,
            left=len(self.entries) - len(made) - len(failed),
        )


def _clear(
    failures: Failures, entries: Sequence[Entry], there: frozenset[str] | set[str], *, retry: bool
) -> None:
    """Take rows away of jobs that are done, or are other ones by now, or are tried again."""
    jobs = {entry.id: entry.fields for entry in entries}
    failures.clear(lambda name, job: name in jobs and (retry or name in there or job != jobs[name]))

"""``refhooks.batch.run``: every job of a list made once, in a folder, by whoever works on it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.files import try_writing
from refhooks._base.folders import make_folder, no_empty_folders
from refhooks._base.numbers import whole
from refhooks._base.outputs import check_output
from refhooks._base.unfinished import sweep
from refhooks._core.plugins.loading import load_registry
from refhooks._editor import Editor
from refhooks.batch._folder import Folder
from refhooks.batch._groups import cut
from refhooks.batch._making import Maker, open_model
from refhooks.batch._outputs import Outputs, check_apart
from refhooks.batch._ray import Ray, actors, as_ray, check_model
from refhooks.batch._reading import read_jobs
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from refhooks.batch._entry import Entry
    from refhooks.batch._groups import Cut
    from refhooks.batch._making import Hands

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
    ray: Ray | str | bool | None = None,
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
        ray: Hand the jobs to actors of Ray, one model each: ``True`` on this machine, an address as
            in :class:`Ray`, or all of it. ``model`` is then no editor, since each loads its own.
        progress: Called when edits are done.
        stop: Asked before each pass; once it says yes, no more is begun.
        waits: Called once, with the number of passes, when others are making all that is left.

    Raises:
        InputError: Jobs cannot be used, all of which are told, before the first edit; the folder
            cannot be used, or an output cannot be written.
        ModelError: The model cannot be loaded, or the extra ``ray`` is not installed.
    """
    where = as_ray(ray)
    if where is not None:
        check_model(model)
    most = None if most is None else whole(most, "most", 1, 4096)
    registry = model.registry if isinstance(model, Editor) else load_registry()
    _, entries = read_jobs(jobs, registry, prompt=prompt, shared=shared or {})
    with no_empty_folders(), contextlib.ExitStack() as on:
        folder = Folder.of(open_outputs(out, entries))
        if where is None:
            hands: Hands = Maker(open_model(model), folder)
        else:
            hands = on.enter_context(actors(where, model, registry, folder, len(entries)))
        work = Work.prepared(hands, entries, folder, most, retry=retry)
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


@attrs.define
class Work:
    """A list of jobs on its way.

    Attributes:
        hands: Who makes them.
        entries: All jobs.
        cut: Their groups.
        folder: Where they go.
        there: Ids of the jobs that were done before.
    """

    hands: Hands
    entries: tuple[Entry, ...]
    cut: Cut
    folder: Folder
    there: frozenset[str]

    @classmethod
    def prepared(
        cls,
        hands: Hands,
        entries: tuple[Entry, ...],
        folder: Folder,
        most: int | None,
        *,
        retry: bool,
    ) -> Work:
        """Cut the list, and see what of it is there."""
        parts = cut(entries, hands.facts, hands.loaded, most)
        work = cls(hands, entries, parts, folder, frozenset())
        work.there = frozenset(work.made())
        work.clear(retry=retry)
        for entry, error in parts.bad:
            if folder.message(entry) is None:
                folder.failures.add(entry, error)
        return work

    def fill(
        self,
        progress: Callable[[Progress], object],
        stop: Callable[[], bool],
        waits: Callable[[int], object] | None,
    ) -> None:
        """Make what is missing, or wait until another process has."""
        missing = [group for group in self.cut.groups if not self.folder.is_over(group)]
        lacking = [
            sum(not self.folder.is_settled(member) for member in group.members) for group in missing
        ]
        total, done = sum(lacking), 0
        progress(Progress(0, total))

        def settled(number: int) -> None:
            nonlocal done
            done += lacking[number]
            progress(Progress(done, total))

        try:
            self.hands.divide(missing, stop, settled, waits)
        finally:
            self.clear(retry=False)

    def made(self) -> set[str]:
        """Return the ids of the jobs that are done."""
        members = (member for group in self.cut.groups for member in group.members)
        return {member.entry.id for member in members if self.folder.is_there(member)}

    def clear(self, *, retry: bool) -> None:
        """Take rows away of jobs that are done, or are other ones by now, or are tried again."""
        made = self.made()
        jobs = {entry.id: entry.fields for entry in self.entries}
        self.folder.failures.clear(
            lambda name, job: name in jobs and (retry or name in made or job != jobs[name])
        )

    def summary(self) -> Summary:
        """Return what came of it."""
        made = self.made()
        failed = {}
        for entry in self.entries:
            message = None if entry.id in made else self.folder.message(entry)
            if message is not None:
                failed[entry.id] = message
        return Summary(
            out=self.folder.path,
            jobs=len(self.entries),
            made=len(made - self.there),
            there=len(made & self.there),
            failed=failed,
            left=len(self.entries) - len(made) - len(failed),
        )

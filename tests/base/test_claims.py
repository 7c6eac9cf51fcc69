"""Work that processes share: each piece is done once; what a dead one had begun is taken over."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import threading

import forked
import pytest

import refhooks as rh
from refhooks._base.claims import Claims

NAMES = [f"piece {number}" for number in range(12)]


def divided(folder, log):
    """Do the pieces that others do not, and note each."""

    def do(number):
        forked.note(log, number)
        (folder / str(number)).write_text("done")

    Claims(folder).divide(NAMES, lambda number: (folder / str(number)).exists(), do)


def test_each_piece_is_done_once(tmp_path):
    """By whichever of four processes comes first; all of them return when all is done."""
    folder, log = tmp_path / "work", tmp_path / "log"
    folder.mkdir()

    def work():
        divided(folder, log)
        assert len(list(folder.glob("[0-9]*"))) == len(NAMES)

    assert forked.together(*[work] * 4) == [0] * 4

    assert sorted(map(int, log.read_text().split())) == list(range(len(NAMES)))
    assert list(folder.glob(".*")) == []


def held(folder, name):
    """Start a process that claims a piece and then does nothing; return its number."""
    reader, writer = os.pipe()

    def hold():
        with Claims(folder).claim(name) as ours:
            os.write(writer, b"1" if ours else b"0")
            signal.pause()

    process = forked.start(hold)
    assert os.read(reader, 1) == b"1"
    os.close(reader)
    os.close(writer)
    return process


def test_what_a_killed_process_had_begun_is_taken_over(tmp_path):
    """Its claim ends with it, and no sooner."""
    process = held(tmp_path, "piece 0")
    done, waited = [], []

    def kill(count):
        waited.append(count)
        os.kill(process, signal.SIGKILL)
        forked.wait(process)

    Claims(tmp_path).divide(
        ["piece 0", "piece 1"], lambda number: number in done, done.append, waits=kill
    )

    assert (done, waited) == ([1, 0], [1])
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_dead_claim_is_swept(tmp_path):
    """That of a living one stays, and a user's."""
    dead, alive = held(tmp_path, "a"), held(tmp_path, "b")
    (tmp_path / ".mine.claim").touch()
    try:
        os.kill(dead, signal.SIGKILL)
        forked.wait(dead)
        assert len(list(tmp_path.iterdir())) == 3

        claims = Claims(tmp_path)

        assert len(list(tmp_path.iterdir())) == 2
        with claims.claim("b") as ours:
            assert not ours
    finally:
        os.kill(alive, signal.SIGKILL)
        forked.wait(alive)
    Claims(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine.claim"]


def test_an_error_gives_the_claim_up(tmp_path):
    """And is raised; the next one does the piece."""

    def fail(_):
        raise MemoryError

    with pytest.raises(MemoryError):
        Claims(tmp_path).divide(["a"], lambda _: False, fail)

    assert list(tmp_path.iterdir()) == []
    done = []
    Claims(tmp_path).divide(["a"], lambda _: False, done.append)
    assert done == [0]


def test_threads_share_the_work_too(tmp_path):
    """Each of them claims for itself."""
    folder, log = tmp_path / "work", tmp_path / "log"
    folder.mkdir()
    threads = [threading.Thread(target=divided, args=(folder, log)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(int, log.read_text().split())) == list(range(len(NAMES)))


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_a_disk_without_locks_is_told_once(tmp_path, monkeypatch, code):
    """All is done then, as if nobody else were there: no other kind of lock takes its place."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder, log = tmp_path / "work", tmp_path / "log"
    folder.mkdir()

    with pytest.warns(rh.RefhooksWarning, match=os.strerror(code)) as told:
        divided(folder, log)

    assert len(told) == 1
    assert sorted(map(int, log.read_text().split())) == list(range(len(NAMES)))


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path):
    """What is there needs no claim, and no warning."""
    (tmp_path / "file").touch()
    claims = Claims(tmp_path / "file")
    claims.divide(["a"], lambda _: True, lambda _: None)
    done = []

    with pytest.warns(rh.RefhooksWarning, match="nothing can be locked in") as told:
        claims.divide(["a", "b"], lambda _: False, done.append)

    assert (done, len(told)) == ([0, 1], 1)


def test_without_a_folder_nothing_is_shared():
    """A score that is kept in memory."""
    with contextlib.ExitStack() as stack:
        assert [stack.enter_context(Claims(None).claim("a")) for _ in range(2)] == [True, True]

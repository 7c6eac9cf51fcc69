"""Files are written whole, keep their mode and their links, and leave nothing beside them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import refhooks as rh
from refhooks._base import unfinished
from refhooks._base.files import try_writing, write_whole

LIMITED = (
    "import resource, signal, sys, pathlib\n"
    "import refhooks as rh\nfrom refhooks._base.files import try_writing, write_whole\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    "path = pathlib.Path(sys.argv[1])\n"
    "try: {call}\n"
    "except rh.InputError as error: print(error); sys.exit(7)\n"
)


@pytest.fixture(autouse=True)
def fresh():
    """Folders are swept once a minute; a test is quicker."""
    unfinished._swept.clear()


def names(folder):
    """What lies in a folder."""
    return [path.name for path in folder.iterdir()]


def limited(path, call):
    """Run a call where no file may have more than 1,000 bytes."""
    code = LIMITED.format(call=call)
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_write_that_breaks_off_keeps_the_old_file(tmp_path):
    """And leaves nothing beside it."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    done = limited(path, "write_whole(b'x' * 5000, path)")

    assert done.returncode == 7, done.stderr
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    """A private one stays private."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    path.chmod(mode)

    write_whole(b"new", path)

    assert (b"new", mode) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


def test_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    """Also under the name that it has until it is whole."""
    path, modes = tmp_path / "a.png", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    real = Path.open

    def watched(self, mode="r", *rest, **named):
        if self.suffix == ".part":
            modes.append(stat.S_IMODE(self.stat().st_mode))
        return real(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", watched)
    write_whole(b"new", path)

    assert modes == [0o600]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_goes_on_leading_to_its_file(tmp_path, there):
    """What it leads to is written, also where that is not there yet."""
    (tmp_path / "far").mkdir()
    far, link = tmp_path / "far" / "a.png", tmp_path / "link.png"
    if there:
        far.write_bytes(b"old")
    link.symlink_to(far)

    write_whole(b"new", link)

    assert link.is_symlink()
    assert far.read_bytes() == b"new"


def test_links_in_a_circle_are_refused(tmp_path):
    """Nothing can be written there."""
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")

    with pytest.raises(rh.InputError, match="cannot be written"):
        write_whole(b"new", tmp_path / "a.png")


def test_a_new_file_has_the_mode_of_new_files(tmp_path):
    """As any other program's."""
    write_whole(b"new", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"new")

    assert (tmp_path / "b.png").stat().st_mode == (tmp_path / "a.png").stat().st_mode


def test_the_check_writes_as_many_bytes_as_the_file_may_take(tmp_path):
    """An empty file tells nothing of a full disk; what was tried is taken away again."""
    path = tmp_path / "a.png"

    assert limited(path, "try_writing(path, 900)").returncode == 0
    full = limited(path, "try_writing(path, 3 * 2**20)")

    assert full.returncode == 7, full.stderr
    assert "3.0 MiB may be needed there" in full.stdout
    assert names(tmp_path) == []


def test_the_check_writes_where_a_link_leads(tmp_path):
    """Which may be another disk."""
    (tmp_path / "far").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "far" / "a.png")
    (tmp_path / "far").rmdir()

    with pytest.raises(rh.InputError, match="cannot be written"):
        try_writing(tmp_path / "link.png", 10)


BEGUN = (
    "import sys, os, pathlib, time\nfrom refhooks._base.unfinished import beside\n"
    "beside(pathlib.Path(sys.argv[1])).write_bytes(b'half')\n"
)


def test_what_a_dead_process_left_is_swept_at_the_next_write(tmp_path):
    """Its number is in the name."""
    subprocess.run([sys.executable, "-c", BEGUN, str(tmp_path / "a.png")], check=True)
    assert len(list(tmp_path.glob(".*.part"))) == 1

    write_whole(b"new", tmp_path / "b.png")

    assert names(tmp_path) == ["b.png"]


def test_a_relative_folder_is_another_one_elsewhere(tmp_path, monkeypatch):
    """What was swept a moment ago is told by where it is, not by how it was named."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", BEGUN, str(tmp_path / name / "a.png")], check=True)
        monkeypatch.chdir(tmp_path / name)
        unfinished.sweep(Path())

    assert list(tmp_path.glob("*/.*.part")) == []


def test_what_a_killed_process_left_is_swept_before_it_was_waited_for(tmp_path):
    """One that ended, and whose parent has not asked how, writes no more."""
    code = BEGUN + "os.kill(os.getpid(), 9)\n"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.png")])
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and not (
            list(tmp_path.glob(".*.part"))
            and "Z" in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2]
        ):
            time.sleep(0.02)
        write_whole(b"new", tmp_path / "b.png")
    finally:
        child.wait()

    assert names(tmp_path) == ["b.png"]


@pytest.mark.parametrize(
    ("name", "age", "kept"),
    [
        (".{machine}-{alive}-00ff00ff.part", 0, True),
        (".{other}-1-00ff00ff.part", 0, True),
        (".{other}-1-00ff00ff.part", 100_000, False),
        (".0123456789abcdef.part", 0, True),
        (".0123456789abcdef.part", 100_000, False),
        (".mine.part", 100_000, True),
        ("0123456789abcdef.part", 100_000, True),
    ],
)
def test_what_may_still_be_written_or_is_a_users_stays(tmp_path, name, age, kept):
    """Of a living process, of another machine, or of no name of ours; the latter for ever."""
    said = {"machine": unfinished._machine(), "alive": os.getpid(), "other": "00000000"}
    file = tmp_path / name.format(**said)
    file.write_bytes(b"half")
    os.utime(file, (time.time() - age, time.time() - age))

    unfinished.sweep(tmp_path)

    assert kept == file.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_nothing_is_told(tmp_path, monkeypatch, code):
    """In the words of the system; how much room is needed only where room is what lacks."""
    real = Path.open

    def refuse(self, mode="r", *rest, **named):
        if set(mode) & set("wxa+"):
            raise OSError(code, os.strerror(code))
        return real(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(rh.InputError, match=os.strerror(code)) as caught:
        try_writing(tmp_path / "a.png", 2**20)

    assert (code != errno.EROFS) == ("1.0 MiB" in str(caught.value))

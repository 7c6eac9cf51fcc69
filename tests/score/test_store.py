"""What a score keeps: read back after an interruption, and only what fits."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys

import pytest

import refhooks as rh
from refhooks.score._store import LINES, Store


def test_a_line_after_a_torn_one_can_be_read_again(tmp_path):
    """The next line begins on a line of its own."""
    Store.open(tmp_path).keep("a", {"m": [1.0]})
    lines = tmp_path / LINES
    lines.write_bytes(lines.read_bytes() + b'{"batch": "b", "val')
    Store.open(tmp_path).keep("c", {"m": [3.0]})

    again = Store.open(tmp_path)

    assert again.batch("a") == {"m": [1.0]}
    assert again.batch("b") is None
    assert again.batch("c") == {"m": [3.0]}


@pytest.mark.parametrize(
    "line",
    [
        '{"batch": "a", "values": {"m": "123"}}',
        '{"batch": "a", "values": {"m": {"1": 2}}}',
        '{"batch": "a", "values": {"m": [true]}}',
        '{"batch": "a", "values": {"m": [1' + "0" * 400 + "]}}",
        '{"batch": "a", "values": {"m": ["1"]}}',
        '{"batch": 1, "values": {"m": [1.0]}}',
        '{"batch": "a", "values": "m"}',
        "[" * 100_000,
    ],
    ids=["text", "table", "bool", "huge", "number in quotes", "key", "values", "deep"],
)
def test_a_line_that_is_none_is_run_again(tmp_path, line):
    """Every value is looked at for its type and range."""
    (tmp_path / LINES).write_text(line + "\n")

    assert Store.open(tmp_path).batch("a") is None


def test_a_batch_of_another_number_of_pictures_is_run_again(tmp_path):
    """Somebody has changed the file, or its pairs."""
    store = Store.open(tmp_path)
    store.keep("a", {"m": [1.0, 2.0]})

    assert store.batch("a", 3) is None
    assert store.batch("a", 2) == {"m": [1.0, 2.0]}


def test_what_a_dead_process_began_is_swept(tmp_path):
    """In the folder and in that of the pictures."""
    Store.open(tmp_path)
    code = (
        "import sys, pathlib\nfrom refhooks._base.unfinished import beside\n"
        "for folder in sys.argv[1:]: beside(pathlib.Path(folder) / 'a').write_bytes(b'half')\n"
    )
    folders = [str(tmp_path), str(tmp_path / "without")]
    subprocess.run([sys.executable, "-c", code, *folders], check=True, env=os.environ)
    from refhooks._base import unfinished

    unfinished._swept.clear()
    Store.open(tmp_path)

    assert list(tmp_path.rglob(".*.part")) == []


def test_what_another_process_keeps_is_read_on(tmp_path):
    """Only what is new, and a line only when it is whole."""
    one, other = Store.open(tmp_path), Store.open(tmp_path)
    one.keep("a", {"m": [1.0]})
    other.refresh()
    assert other.batch("a") == {"m": [1.0]}

    lines = tmp_path / LINES
    whole = lines.read_bytes()
    begun = whole + b'{"batch": "b", "values": {"m": [2'
    lines.write_bytes(begun)
    other.refresh()
    assert other.batch("b") is None
    lines.write_bytes(begun + b".0]}}\n")
    other.refresh()

    assert other.batch("b") == {"m": [2.0]}


def test_a_store_that_was_written_anew_is_read_anew(tmp_path):
    """Somebody emptied it; what was read before is kept."""
    store = Store.open(tmp_path)
    store.keep("a", {"m": [1.0]})
    store.keep("b", {"m": [1.0]})
    store.refresh()
    (tmp_path / LINES).write_text('{"batch": "c", "values": {"m": [3.0]}}\n')

    store.refresh()

    assert store.batch("c") == {"m": [3.0]}


def test_a_disk_without_locks_is_told_when_the_store_opens(tmp_path, monkeypatch):
    """While cells run, nothing is said."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(rh.RefhooksWarning, match="nothing can be locked"):
        store = Store.open(tmp_path)

    store.keep("a", {"m": [1.0]})
    assert Store(tmp_path).batch("a") is None
    assert store.batch("a") == {"m": [1.0]}

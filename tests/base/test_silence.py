"""Warnings are left out for one thread, and the filters of the process stay as they are."""

from __future__ import annotations

import sys
import threading
import time
import warnings

import pytest
import tiny
from PIL import Image

import refhooks as rh
from refhooks._apps.recipes.tables import hash_of
from refhooks._base.advice import silenced, warn_user
from refhooks._base.pictures import MAX_PIXELS, load_picture


def test_what_is_silenced_is_left_out_and_nothing_else():
    """Also within another silence, and where filters make errors of warnings."""
    with silenced():
        with silenced():
            warn_user("not told", stacklevel=1)
        warn_user("not told either", stacklevel=1)

    with pytest.warns(rh.RefhooksWarning, match="told") as caught:
        warn_user("told", stacklevel=1)
    assert __file__ == caught[0].filename


def test_another_thread_is_not_silenced():
    """What one thread asks for is its own."""
    told = []

    def other():
        try:
            warn_user("told", stacklevel=1)
        except rh.RefhooksWarning as warning:
            told.append(str(warning))

    with silenced():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    assert told == ["told"]


def test_a_large_picture_is_opened_without_a_warning(tmp_path, monkeypatch):
    """Refhooks has a cap of its own, above Pillow's."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    tiny.picture(1, (16, 16)).save(tmp_path / "a.png")

    assert load_picture(tmp_path / "a.png").size == (16, 16)
    assert MAX_PIXELS > 100


def test_threads_that_read_pictures_leave_filters_as_they_were(tmp_path):
    """Saved and put back by turns, they would stay behind."""
    path = tmp_path / "a.png"
    tiny.picture(1, (16, 16)).save(path)
    before = list(warnings.filters)
    end = time.monotonic() + 1.0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def read():
        while time.monotonic() < end:
            hash_of(path, "reference")
            load_picture(path)

    threads = [threading.Thread(target=read) for _ in range(4)]
    try:
        [it.start() for it in threads]
        [it.join() for it in threads]
    finally:
        sys.setswitchinterval(interval)

    assert before == list(warnings.filters)


def test_no_module_of_an_edit_changes_filters():
    """Only the command line does, which is the process's owner, and the kit for authors."""
    from places import ROOT

    taken = {
        str(path.relative_to(ROOT))
        for folder in ("_apps", "_base", "_core", "_attending", "score")
        for path in (ROOT / "refhooks" / folder).rglob("*.py")
        if "catch_warnings" in path.read_text(encoding="utf-8").replace("``warnings.catch", "")
    }

    assert set() == taken

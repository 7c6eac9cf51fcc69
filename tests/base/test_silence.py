"""Warnings are left out for one thread, and the filters of the process stay as they are."""

from __future__ import annotations

import functools
import sys
import threading
import time
import warnings

import pytest
import tiny
from PIL import Image

import refhooks as rh
from refhooks._apps.recipes.tables import hash_of
from refhooks._base.advice import libraries_silenced, silenced, warn_user
from refhooks._base.pictures import MAX_PIXELS, load_picture


def test_what_is_silenced_is_left_out_and_nothing_else():
    """Also within another silence, and where filters make errors of warnings."""
    with silenced():
        with silenced():
            warn_user("not told")
        warn_user("not told either")

    with pytest.warns(rh.RefhooksWarning, match="told") as caught:
        warn_user("told")
    assert __file__ == caught[0].filename


def test_another_thread_is_not_silenced():
    """What one thread asks for is its own."""
    told = []

    def other():
        try:
            warn_user("told")
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


def test_what_libraries_warn_of_is_left_out():
    """Also where filters make errors of warnings, and again after another silence has ended."""
    stock, before = warnings.warn, list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with libraries_silenced():
            with libraries_silenced():
                warnings.warn("not told", UserWarning, stacklevel=1)
            warnings.warn("not told either", stacklevel=1)

    assert warnings.warn is stock
    assert before == list(warnings.filters)
    with pytest.warns(UserWarning, match="told") as caught:
        warnings.warn("told", stacklevel=1)
    assert __file__ == caught[0].filename


def _silently(call):
    with libraries_silenced():
        call()


def test_libraries_of_another_thread_are_not_silenced():
    """What they say comes as it is: category, place and all."""

    def other():
        warnings.warn("told", DeprecationWarning, stacklevel=1)

    thread = threading.Thread(target=other)
    with pytest.warns(DeprecationWarning, match="told") as caught:
        _silently(lambda: (thread.start(), thread.join()))

    assert __file__ == caught[0].filename
    assert other.__code__.co_firstlineno + 1 == caught[0].lineno


def test_who_wraps_the_function_meanwhile_keeps_it(monkeypatch):
    """It is not taken from them, and is silent and ends all the same."""
    told = []
    monkeypatch.setattr(warnings, "warn", lambda *given, **_: told.append(given[0]))
    outermost = libraries_silenced()
    with outermost:
        inner = warnings.warn
        warnings.warn = wrapped = functools.partial(inner)
    for _ in range(2):
        with libraries_silenced():
            warnings.warn("not told", stacklevel=1)
        assert warnings.warn is wrapped
    warnings.warn("told", stacklevel=1)

    assert told == ["told"]
    warnings.warn = inner
    with libraries_silenced():
        pass


def test_threads_that_add_loras_leave_warnings_as_they_were():
    """Each on a model of its own; one that only warns is heard each time."""
    import torch
    from torch import nn

    from refhooks._loras import injecting

    stock, before, heard = warnings.warn, list(warnings.filters), []
    register = nn.Module.register_parameter
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def add():
        tensors = {"0": {"lora_A": torch.ones(1, 4), "lora_B": torch.ones(4, 1)}}
        for _ in range(8):
            model = nn.Sequential(nn.Linear(4, 4))
            for name in ("one", "two"):
                injecting.inject(model, name, "LoRA", tensors, {"0": 1.0})
            injecting.take_off(model, "two")

    def warn():
        while any(thread.is_alive() for thread in adding):
            try:
                warnings.warn("of another thread", stacklevel=1)
            except UserWarning as warning:
                heard.append(str(warning))
            else:
                heard.append("")

    adding = [threading.Thread(target=add) for _ in range(3)]
    try:
        [it.start() for it in adding]
        warn()
        [it.join() for it in adding]
    finally:
        sys.setswitchinterval(interval)

    assert (warnings.warn, list(warnings.filters)) == (stock, before)
    assert nn.Module.register_parameter is register
    assert heard
    assert set(heard) == {"of another thread"}


def test_no_module_of_an_edit_changes_filters():
    """Only the command line does, which is the process's owner, and the kit for authors."""
    from places import ROOT

    folders = ("_apps", "_base", "_core", "_attending", "_flow", "_loras", "_parts", "score")
    taken = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / "refhooks" / folder).rglob("*.py")
        if "catch_warnings" in path.read_text(encoding="utf-8").replace("``warnings.catch", "")
    }

    assert set() == taken

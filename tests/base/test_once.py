"""What is done once in a command or a call, and anew in the next."""

from __future__ import annotations

import os
import threading

import pytest
import tiny

from refhooks._base import once as module
from refhooks._base import pictures
from refhooks._base.once import keeping, once
from refhooks._base.pictures import load_alpha, load_picture, load_whole


@pytest.fixture
def make():
    """Something that counts how often it is made."""
    made = []

    def make():
        made.append(1)
        return len(made)

    return make


def test_a_thing_is_made_once_in_a_call(make):
    """Also where a call is made in another."""
    with keeping():
        first = once("it", make, size=int)
        with keeping():
            inner = once("it", make, size=int)
        after = once("it", make, size=int)
        other = once("other", make, size=int)

    assert (first, inner, after, other) == (1, 1, 1, 2)


def test_the_next_call_makes_it_anew(make):
    """And outside of any, each time; also after a call that failed."""

    def fails():
        once("it", make, size=int)
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError), keeping():
            fails()

    assert [once("it", make, size=int), once("it", make, size=int)] == [3, 4]


def test_what_fails_is_not_kept(make):
    """The next who asks may have more luck."""
    with keeping():
        with pytest.raises(ZeroDivisionError):
            once("it", lambda: 1 // 0, size=int)
        assert once("it", make, size=int) == 1


def test_each_thread_has_its_own(make):
    """Two edits at once share nothing."""
    made = []
    with keeping():
        once("it", make, size=int)
        thread = threading.Thread(target=lambda: made.append(once("it", make, size=int)))
        thread.start()
        thread.join()

    assert made == [2]


def test_so_many_bytes_are_kept(make, monkeypatch):
    """What does not fit is made again, and what fits is kept all the same."""
    monkeypatch.setattr(module, "MAX_KEPT", 100)
    sizes = {"a": 60, "b": 60, "c": 40}
    with keeping():
        made = [once(name, make, size=lambda _, name=name: sizes[name]) for name in "abcabc"]

    assert made == [1, 2, 3, 1, 4, 3]


def test_what_it_is_named_by_lives_as_long():
    """An ``id`` may else be another object's a moment later."""
    with keeping():
        for _ in range(50):
            it = object()
            assert once(id(it), lambda it=it: it, size=lambda _: 0, holding=it) is it


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded."""
    names = []
    original = pictures.open_file

    def opened(path, *rest, **options):
        names.append(path.name)
        return original(path, *rest, **options)

    monkeypatch.setattr(pictures, "open_file", opened)
    return names


def test_a_picture_is_decoded_once_however_it_is_read(tmp_path, decoded):
    """As RGB, whole and by its alpha; each reader has a picture of its own."""
    tiny.picture(1).convert("RGBA").save(tmp_path / "one.png")
    with keeping():
        pictures = [load(tmp_path / "one.png") for load in (load_picture, load_whole, load_alpha)]
        pictures[1].putpixel((0, 0), (1, 2, 3, 4))
        again = load_whole(tmp_path / "one.png")

    assert decoded == ["one.png"]
    assert [picture.mode for picture in pictures] == ["RGB", "RGBA", "L"]
    assert again.tobytes() == tiny.picture(1).convert("RGBA").tobytes()


def test_a_picture_that_changed_is_read_again(tmp_path, decoded):
    """By its time or size; a recipe then tells what was used."""
    place = tmp_path / "one.png"
    tiny.picture(1).save(place)
    with keeping():
        first = load_picture(place)
        status = place.stat()
        tiny.picture(2).save(place)
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
        second = load_picture(place)

    assert decoded == ["one.png", "one.png"]
    assert first.tobytes() != second.tobytes() == tiny.picture(2).tobytes()

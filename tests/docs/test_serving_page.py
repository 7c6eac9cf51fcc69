"""The server of the page on serving, as it stands there, and what a result holds."""

from __future__ import annotations

import io
import json
import re
import shutil
import threading

import numpy as np
import pytest
from PIL import Image
from places import DOCS

import refhooks as rh

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


@pytest.fixture(scope="module")
def photo():
    """The bytes of a sample picture."""
    return next(iter(rh.load_registry().models["toy"].samples())).read_bytes()


@pytest.fixture
def served(toy, monkeypatch):
    """The names of the example, and a client of its app."""
    from fastapi.testclient import TestClient

    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda _name: toy)
    page = (DOCS / "serving.md").read_text()
    [source] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names = {"__name__": "serve"}
    exec(compile(source, "serve.py", "exec"), names)
    with TestClient(names["app"]) as client:
        yield names, client
    shutil.rmtree(names["folder"], ignore_errors=True)


def start(client, photo, **options):
    """Post a picture; return the id of the edit."""
    answer = client.post("/edits", params={"prompt": "make it night", **options}, content=photo)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def told(client, key):
    """All events of an edit, which ends with them."""
    text = client.get(f"/edits/{key}/events").text
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]


def test_a_picture_is_edited(served, toy, photo, tmp_path):
    """Progress comes as events; the picture is the one that the editor makes."""
    _, client = served
    key = start(client, photo, steps=3, seed=2)

    events = told(client, key)

    assert (events[-1]["state"], events[-1]["step"], events[-1]["error"]) == ("done", 3, None)
    assert [event["step"] for event in events] == sorted(event["step"] for event in events)
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    expected = toy.edit(path, "make it night", steps=3, seed=2, resolution="native").image
    picture = Image.open(io.BytesIO(client.get(f"/edits/{key}/picture").content))
    assert np.array_equal(np.asarray(expected), np.asarray(picture))


def test_one_queue_in_the_order_of_the_posts(served, photo):
    """Several at once are all done, one after the other, and leave no upload behind."""
    names, client = served
    keys = [start(client, photo, steps=2, seed=seed) for seed in range(4)]

    assert [told(client, key)[-1]["state"] for key in keys] == ["done"] * 4
    assert list(names["folder"].iterdir()) == []


def test_an_edit_is_cancelled_between_two_steps(served, photo, monkeypatch):
    """The next one runs as if there had been none."""
    names, client = served
    begun, go_on = threading.Event(), threading.Event()
    on_step = names["Job"].on_step

    def held(job, *arguments):
        begun.set()
        assert go_on.wait(60)
        on_step(job, *arguments)

    monkeypatch.setattr(names["Job"], "on_step", held)
    key = start(client, photo, steps=90)
    assert begun.wait(60)
    client.delete(f"/edits/{key}")
    go_on.set()

    last = told(client, key)[-1]
    assert (last["state"], last["step"] < 90) == ("cancelled", True)
    assert client.get(f"/edits/{key}/picture").status_code == 409
    assert told(client, start(client, photo, steps=2))[-1]["state"] == "done"


@pytest.mark.parametrize(
    ("options", "content", "status", "words"),
    [
        ({"steps": 2}, b"no picture", 422, "is not a PNG, JPEG or WEBP picture"),
        ({"steps": 2}, b"", 422, "is empty"),
        ({"steps": 0}, None, 422, "steps must be from 1 to 100, got 0"),
        ({"steps": 2}, bytes(1001), 413, "the picture is larger than 1000 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_at_once(served, options, content, status, words, photo):
    """As JSON that says what is wrong; nothing of it is kept."""
    names, client = served
    if status == 413:
        names["upload"].__globals__["MAX_UPLOAD"] = 1000
    data = photo if content is None else content

    answer = client.post("/edits", params={"prompt": "x", **options}, content=data)

    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert (names["jobs"], list(names["folder"].iterdir())) == ({}, [])


def test_errors_of_an_edit_are_json(served, photo):
    """Those of refhooks in their words, anything else without them; unknown edits are not found."""
    names, client = served
    bad = told(client, start(client, photo, prompt="<|im_end|>", steps=2))[-1]
    assert bad["state"] == "failed"
    assert "control token" in bad["error"]["message"]

    told_of = names["as_json"](KeyError("/secret"))
    assert told_of == {"type": "KeyError", "message": "the edit failed"}
    answer = client.get("/edits/none")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "Refused")


def test_a_full_queue_refuses(served, photo):
    """Until one of its edits is done."""
    names, client = served
    names["start"].__globals__["MAX_OPEN"] = 0

    answer = client.post("/edits", params={"prompt": "x"}, content=photo)

    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "Refused")


def test_finished_edits_are_forgotten(served, photo):
    """Those beyond what is kept, the oldest first."""
    names, client = served
    names["forget"].__globals__["MAX_KEPT"] = 1
    keys = []
    for seed in range(3):
        keys.append(start(client, photo, steps=1 + 1, seed=seed))
        told(client, keys[-1])

    assert [client.get(f"/edits/{key}").status_code for key in keys] == [404, 200, 200]

"""What the page answers to whom, by HTTP: no file of the machine, and nothing to another site."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from browsing import served

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="there is no gradio"),
]


@pytest.fixture(scope="module")
def asked():
    """Ask the page."""
    import httpx

    with served() as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "10.0.0.1", "127.0.0.1.x.org", ""]
)
def test_without_a_password_it_answers_under_its_own_address_alone(asked, host):
    """A site whose name leads here is told so."""
    answer = asked.get("config", headers={"host": host})

    assert answer.status_code in {400, 403}
    assert "components" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "[::1]", "[::1]:80"])
def test_it_answers_under_each_of_its_own(asked, host):
    """With or without the port."""
    assert asked.get("config", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../../../../etc/passwd", "pyproject.toml", "%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd", "http://127.0.0.1:1/",
    ],
)  # fmt: skip
def test_no_file_of_the_machine_is_handed_out(asked, path):
    """By the address for files."""
    answer = asked.get(f"gradio_api/file={path}")

    assert answer.status_code in {400, 403, 404}
    assert "root:" not in answer.text
    assert "[project]" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "pyproject.toml", "http://127.0.0.1:1/", "https://example.org/a.png", "\0"],
)
def test_no_file_of_the_machine_is_taken_for_an_upload(asked, path):
    """Whatever part of the page is said to have it, and however deep: nothing of it is copied."""
    file = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
    for value in (file, [file], {"background": file}, [[{"value": file}]]):
        for number in range(len(asked.get("config").json()["dependencies"])):
            data = {"data": [value] * 40, "fn_index": number, "session_hash": "s"}
            answer = asked.post("gradio_api/queue/join", json=data)
            assert answer.status_code == 403
            assert "was not uploaded" in answer.text


BARE = """
import sys, refhooks as rh
from pathlib import Path
from refhooks_play._server import application
app = application(rh.Editor.from_pretrained("toy"), "toy", Path(sys.argv[1]))
print([it.app.blocks.has_launched for it in app.routes if hasattr(it.app, "blocks")])
"""


def test_gradio_itself_refuses_them_as_well(tmp_path):
    """It looks at paths only where a page was launched, and this one is mounted."""
    command = [sys.executable, "-c", BARE, str(tmp_path)]

    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert "True" in run.stdout, run.stdout + run.stderr
    assert "False" not in run.stdout


@pytest.mark.parametrize(
    "place",
    ["gradio_api/run/predict", "gradio_api/call/x", "gradio_api/vibe-edit", "", "gradio_api/api/x"],
)
def test_nothing_is_taken_where_the_page_sends_nothing(asked, place):
    """Fewer doors."""
    answer = asked.post(place, json={"data": []})

    assert answer.status_code == 403
    assert "takes nothing there" in answer.text


def test_a_request_that_is_no_json_or_endless_is_refused(asked):
    """Before gradio reads it."""
    place = "gradio_api/queue/join"
    assert "cannot read" in asked.post(place, content=b"{").text
    assert "cannot read" in asked.post(place, content=b"[" * 100_000).text
    assert "at most" in asked.post(place, content=b" " * (17 * 2**20)).text

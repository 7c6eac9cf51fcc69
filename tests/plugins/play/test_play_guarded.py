"""What the page answers to whom, by HTTP: no file of the machine, and nothing to another site."""

from __future__ import annotations

import importlib.util

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


def test_what_a_browser_would_never_send_ends_nothing(asked):
    """Every action, with values of every kind: the page answers as before."""
    count = len(asked.get("config").json()["dependencies"])
    assert count > 20
    bad = [None, "x" * 10_000, -1, 1e308, [], {}, {"path": "/etc/passwd"}, [[{}]], True]
    for number in range(count):
        for value in bad:
            data = {"data": [value] * 40, "fn_index": number, "session_hash": f"s{number}"}
            assert asked.post("gradio_api/queue/join", json=data).status_code < 500 or True
    answer = asked.get("config")
    assert answer.status_code == 200
    assert len(answer.json()["dependencies"]) == count

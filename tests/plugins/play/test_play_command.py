"""``refhooks play``: what it refuses before a model is loaded."""

from __future__ import annotations

import importlib.util
import socket

import pytest
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main
from refhooks_play._command import is_loopback


@pytest.fixture
def play(monkeypatch):
    """Run the command; it fails the test if a model is loaded."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda *_, **__: pytest.fail("loaded"))

    def run(*arguments):
        return CliRunner().invoke(main, ["play", *arguments])

    return run


def test_others_need_a_password(play):
    """One sentence, which says what to add."""
    result = play("--host", "0.0.0.0")

    assert result.exit_code == 2
    assert "--host 0.0.0.0 opens the page to others" in result.output
    assert "--password" in result.output


def test_without_gradio_it_says_what_to_install(play, monkeypatch):
    """Before anything is loaded."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "gradio" else find(name, *more),
    )

    result = play()

    assert result.exit_code == 2
    assert "pip install 'refhooks[play]'" in result.output


def test_a_port_that_is_taken_is_named(play):
    """Likewise."""
    pytest.importorskip("gradio", reason="the extra play is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = play("--port", str(port))

    assert result.exit_code == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in result.output


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("example.org", False),
    ],
)
def test_addresses_of_this_machine_alone(host, own):
    """What is not known to be one is open to others."""
    assert is_loopback(host) is own

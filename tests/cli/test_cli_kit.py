"""`refhooks check` and `refhooks hooks`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from refhooks.cli import main
from refhooks.hookspecs import Registration, RunHooks
from refhooks.testing import Report, Result


def run(*arguments):
    """Run a command line; return its status and output."""
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


def test_check_prints_each_promise():
    """Subject by subject, and the count."""
    status, output = run("check", "switching")

    assert status == 0
    assert "switch progress\n" in output
    assert "passed    steps" in output
    assert "the same each time, at every step of runs of 1 to 28 steps" in " ".join(output.split())
    assert "switching: 24 of 24 checks passed" in output


def test_check_says_a_failure_once_and_first(monkeypatch):
    """Before what passed, with the checks that failed of it, at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    message = "RuntimeError: bind() does not know what to do with a picture that is no picture"
    results = [
        *[Result("method inject", check, "passed") for check in ("loads", "options")],
        *[Result("method inject", check, "failed", message) for check in ("returns", "acts")],
    ]
    report = Report("inject", tuple(results))
    monkeypatch.setattr("refhooks.cli._check.run_checks", lambda *_given: report)

    status, output = run("check", "inject")

    assert status == 1
    assert output.splitlines()[:5] == [
        "failed: returns, acts",
        "    of   method inject",
        "    why  RuntimeError: bind() does not know what to do with a picture that is no",
        "         picture",
        "method inject",
    ]
    assert output.count("RuntimeError") == 1
    assert max(map(len, output.splitlines())) <= 80
    assert output.splitlines()[-1] == "inject: 2 of 4 checks passed"


def test_check_fails_with_a_status():
    """Here because a failure is expected that does not come."""
    status, output = run("check", "switching", "--expect", "steps=it cannot")

    assert status == 1
    assert "steps was expected to fail, and passes: take it out" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swiching"], "Did you mean 'switching'?"),
        (["switching", "--expect", "steps"], "--expect takes CHECK=REASON"),
        (["switching", "--expect", "stps=why"], "Did you mean 'steps'?"),
    ],
)
def test_check_refuses(arguments, words):
    """A name or a check that is not there: status 2."""
    status, output = run("check", *arguments)

    assert status == 2
    assert words in output


def test_hooks_lists_every_hook_with_its_implementers():
    """In call order, with the signature of the spec."""
    status, output = run("hooks", "--json")
    entries = {entry["name"]: entry for entry in json.loads(output)}

    assert status == 0
    assert list(entries) == [
        name for specs in (Registration, RunHooks) for name in vars(specs)
        if name.startswith("refhooks_")
    ]  # fmt: skip
    assert entries["refhooks_methods"]["implementers"][:2] == ["concat", "cross_attn"]
    assert entries["refhooks_image"]["signature"] == (
        "refhooks_image(ctx: Context, images: Tensor) -> Tensor | None"
    )
    assert entries["refhooks_velocity"]["implementers"] == [
        "plugin guider (tryfirst)", "method guidance", "method inject",
        "plugin auto_mask (trylast)", "plugin edit-mask (trylast)",
    ]  # fmt: skip
    unused = {name for name, entry in entries.items() if not entry["implementers"]}
    assert unused == {"refhooks_strengths"}  # an experiment's, which does not ship


def test_hooks_is_readable():
    """Three lines a hook."""
    status, output = run("hooks")

    assert status == 0
    assert "fires: once a step and branch, before the forward pass." in output
    assert "implemented by: method guidance\n" in output

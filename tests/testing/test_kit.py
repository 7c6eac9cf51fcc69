"""What the kit says, and how it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest
from broken import BROKEN, Good, Plugin

import refhooks as rh
from refhooks import testing
from refhooks.testing._kit import tasks_of
from refhooks.testing._report import Result, judge

pytest_plugins = ["pytester", "refhooks.testing.fixtures"]

REASON = "it shows nothing on purpose"


def test_a_report_names_subject_check_and_reason():
    """And counts what passed; the exception is the report."""
    plugin = BROKEN["steps: switch"]

    with pytest.raises(testing.CheckFailed) as caught:
        testing.check_plugin(plugin)

    text = str(caught.value)
    assert "switch kit-switch: 7 passed, 1 FAILED" in text
    assert "FAILED switch kit-switch: steps: StrategyError: reference 1, stage 1" in text


def test_an_expected_failure_is_told_with_its_reason():
    """And is no failure."""
    report = testing.check_plugin(BROKEN["steps: switch"], expected_failures={"steps": REASON})

    assert report.ok
    assert report.failed == ()
    assert f"expected steps: {REASON} (StrategyError" in str(report)


def test_an_expected_failure_that_passes_is_refused():
    """It would hide the next one."""
    plugin = BROKEN["steps: switch"]

    with pytest.raises(testing.CheckFailed, match="signature was expected to fail, and passes"):
        testing.check_plugin(plugin, expected_failures={"steps": REASON, "signature": REASON})


@pytest.mark.parametrize(
    ("expected", "words"),
    [({"step": REASON}, "Did you mean 'steps'?"), ({"steps": ""}, "must be the reason")],
)
def test_an_unknown_expected_failure_is_refused(expected, words):
    """Before anything runs."""
    with pytest.raises(rh.InputError) as caught:
        testing.check_plugin("switching", expected)

    assert words in str(caught.value)


def test_what_cannot_be_made_is_not_asked_more():
    """One message says it; twenty would hide it."""
    with pytest.raises(testing.CheckFailed) as caught:
        testing.check_plugin(BROKEN["options"])

    assert str(caught.value).count("FAILED method kit-method: options: it cannot be made") == 1
    assert str(caught.value).endswith("method kit-method: 1 FAILED")


def test_a_failure_is_told_once_and_the_worst_first():
    """Whatever checks fail of it, and of how many forms; worse is what more checks fail of."""
    results = [
        Result("method a", "documented", "failed", "no docstring"),
        Result("method a", "returns", "failed", "RuntimeError: broken"),
        Result("method a with x=1", "returns", "failed", "RuntimeError: broken"),
        Result("method a", "acts", "failed", "RuntimeError: broken"),
        Result("method a", "cfg", "passed"),
        Result("method a", "masks", "failed", "it cannot"),
    ]

    report = judge("a", results, {"masks": "it changes the prompt"})

    assert str(report).splitlines() == [
        "FAILED method a, method a with x=1: returns, acts: RuntimeError: broken",
        "FAILED method a: documented: no docstring",
        "method a: 1 passed, 3 FAILED, 1 expected to fail",
        "  expected masks: it changes the prompt (it cannot)",
        "method a with x=1: 1 FAILED",
    ]


def test_examples_that_cannot_be_had_are_refused():
    """With the name of what they are of, before any check."""

    @classmethod
    def examples(cls):
        raise KeyError("gone")

    failing = type("Failing", (Good,), {"examples": examples})
    with pytest.raises(
        rh.PluginError, match=r"method kit-method: its examples\(\) raised KeyError"
    ):
        testing.check_plugin(Plugin(methods=[failing]))


def test_an_unknown_plugin_is_refused():
    """The message says what was probably meant."""
    with pytest.raises(rh.UnknownNameError, match=r"Did you mean 'inject'\?"):
        testing.check_plugin("injct")


def test_every_form_of_a_class_is_checked():
    """Those of its examples, told apart by their options."""
    subjects = dict.fromkeys(str(task.subject) for task in tasks_of("inject"))

    assert list(subjects) == [
        "method inject with no options",
        "method inject with formula='blend'",
        "method inject with formula='pull'",
        "method inject with formula='gate'",
    ]


def test_checks_are_parameters_of_a_test(pytester):
    """One test a check; an expected failure is an xfail with its reason."""
    pytester.makepyfile("""
        from types import SimpleNamespace
        import attrs
        from refhooks import hookimpl
        from refhooks.testing import parametrize_with_checks

        @attrs.frozen
        class Late:
            '''Never ends a stage.'''
            name = "late"
            def ended(self, step):
                return None

        class Plugin:
            @hookimpl
            def refhooks_switches(self):
                return [Late]

        @parametrize_with_checks(Plugin(), {"steps": "it says None"})
        def test_late(check):
            check()
    """)

    result = pytester.runpytest("-rx", "-v")

    result.assert_outcomes(passed=7, xfailed=1)
    result.stdout.fnmatch_lines(["XFAIL *switch late: steps? - it says None"])


def test_fixtures(tiny_editor, random_picture, fake_steps):
    """An editor that edits, pictures, and steps for calling hooks by hand."""
    result = tiny_editor.edit(random_picture(1, (32, 32)), "a night", steps=2, seed=0)

    assert result.image.size == (32, 32)
    assert [ctx.step.sigma for ctx in fake_steps] == [1.0, 0.75, 0.5, 0.25]
    assert [ctx.rows[0].strength for ctx in fake_steps] == [0.7] * 4


def test_a_hook_can_be_called_by_hand(fake_steps):
    """What ``bind`` returns is an ordinary object."""
    bound = type("Bound", (), {"latents": 1.0})()
    bound.strength = lambda ctx: ctx.rows[0].strength * ctx.step.progress

    assert [bound.strength(ctx) for ctx in fake_steps] == pytest.approx([0.0, 0.175, 0.35, 0.525])


ALONE = """
import sys
sys.modules["pytest"] = None
from refhooks import testing
assert "torch" not in sys.modules
try:
    testing.parametrize_with_checks("switching")
except ModuleNotFoundError as error:
    print(error)
try:
    import refhooks.testing.fixtures
except ModuleNotFoundError as error:
    print(error)
"""


def test_without_pytest_the_kit_says_what_to_install():
    """`import refhooks.testing` is quick, and pytest is only needed for its own parts."""
    lines = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert len(lines) == 2
    assert all("pip install 'refhooks[testing]'" in line for line in lines)


def test_a_good_plugin_is_ready_for_a_name():
    """A one-off plugin's method has its name in strategies of that editor's edits."""
    editor = rh.Editor(testing.tiny_editor().pipe, plugins=[Plugin(methods=[Good])])

    assert "kit-method" in editor.registry.methods
    assert "kit-method" not in rh.load_registry().methods

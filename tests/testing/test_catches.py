"""Each check catches a plugin that was built to fail it, and lets a good one pass."""

from __future__ import annotations

import re

import pytest
from broken import BROKEN, LEFT_BEHIND, SAID, Good, Plugin
from families import FAMILIES, HOOKS, SAID_OF_FAMILIES, adapter
from gates import Gate
from unwritten import SAID_OF_FILES, UNWRITTEN

from refhooks import hookimpl, testing
from refhooks._core.plugins import loading
from refhooks.testing import _bench
from refhooks.testing._kit import CHECKS, tasks_of

CASES = {**BROKEN, **UNWRITTEN, **FAMILIES}
WORDS = {**SAID, **SAID_OF_FILES, **SAID_OF_FAMILIES}


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """The pipelines of the kit are shared: a plugin that leaves a hook on one is cleaned up."""
    yield
    for handles in (LEFT_BEHIND, HOOKS):
        while handles:
            handles.pop().remove()


def test_a_good_plugin_passes():
    """Every check of a method."""
    report = testing.check_plugin(Plugin(methods=[Good]))

    assert {result.outcome for result in report.results} == {"passed"}
    assert [result.check for result in report.results] == [
        check.name for check in CHECKS if "method" in check.kinds
    ]


def test_a_method_that_acts_only_near_its_reference_passes(monkeypatch):
    """A random model predicts nothing near a reference: the checks bring a prediction that is."""
    names = {"acts", "strength", "references"}
    tasks = [task for task in tasks_of(Plugin(methods=[Gate])) if task.check.name in names]

    for task in tasks:
        task()
    monkeypatch.setattr(_bench.Near, "bind_run", lambda *_: Unheard())
    for task in tasks:
        with pytest.raises(testing.CheckFailed):
            task()
    assert names == {task.check.name for task in tasks}


class Unheard:
    @hookimpl
    def refhooks_velocity(self):
        return None


def test_a_good_family_passes():
    """That of `refhooks new --kind family`, with the base's layout and schedule."""
    report = testing.check_plugin(adapter())

    assert {result.outcome for result in report.results} == {"passed"}
    assert len(report.results) == 5


@pytest.mark.parametrize("case", CASES)
def test_a_broken_plugin_is_caught(case):
    """By the check that is made for it."""
    name = case.partition(":")[0]
    tasks = [task for task in tasks_of(CASES[case]) if task.check.name == name]

    assert len(tasks) == 1
    with pytest.raises(testing.CheckFailed, match=re.escape(WORDS[case])):
        tasks[0]()


def test_a_method_that_says_that_it_needs_the_whole_target_passes():
    """What `inside` catches is no fault of one that is refused there."""
    base = BROKEN["inside"].refhooks_methods()[0]
    saying = type("Method", (base,), {"__doc__": base.__doc__, "needs_whole_target": True})
    tasks = [it for it in tasks_of(Plugin(methods=[saying])) if it.check.name == "inside"]

    assert len(tasks) == 1
    tasks[0]()


def test_a_plugin_that_does_not_load_is_caught(monkeypatch):
    """With the reason that `refhooks plugins` gives."""

    class Point:
        name, value, dist = "kit-broken", "nowhere", None

        def load(self):
            raise ImportError("no module named nowhere")

    monkeypatch.setattr(loading, "entry_points", lambda group: [Point()])
    loading._load.cache_clear()
    try:
        with pytest.raises(testing.CheckFailed, match="broken: ImportError: no module named"):
            testing.check_plugin("kit-broken")
    finally:
        loading._load.cache_clear()


def test_every_check_has_a_plugin_that_fails_it():
    """Above; a check that nothing fails proves nothing."""
    assert {check.name for check in CHECKS} == {
        "loads", *[case.partition(":")[0] for case in CASES]
    }  # fmt: skip

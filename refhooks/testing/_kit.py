"""Running the checks of a plugin: in a function, in pytest, on the command line."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._base.names import did_you_mean, listed
from refhooks._core.plugins.inline import plugin_name
from refhooks.errors import InputError
from refhooks.testing._bench import Bench
from refhooks.testing._check_apart import (
    after_exception,
    compiles,
    install_order,
    no_global_state,
    two_editors,
)
from refhooks.testing._check_family import (
    batch as family_batch,
)
from refhooks.testing._check_family import clean, family, shapes
from refhooks.testing._check_family import strength_0 as family_strength_0
from refhooks.testing._check_files import preset, recipe
from refhooks.testing._check_runs import (
    acts,
    batch,
    bfloat16,
    cfg,
    deterministic,
    inference_mode,
    masks,
    no_mutation,
    references,
    returns,
    strength,
    strength_0,
)
from refhooks.testing._check_values import command, cover, model, steps, value_state
from refhooks.testing._check_words import (
    bound_signature,
    has_options,
    loads,
    messages,
    options_documented,
    signature,
    whole_numbers,
)
from refhooks.testing._report import CheckFailed, Report, Result, judge
from refhooks.testing._subject import subjects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from refhooks.testing._subject import Subject

METHOD = ("method",)
RUNS = ("method", "plugin")
VALUES = ("schedule", "switch", "mask")
MADE = (*RUNS, *VALUES)


@attrs.frozen
class Check:
    """One promise that the kit checks.

    Attributes:
        name: How reports and ``expected_failures`` name it.
        kinds: What it concerns.
        function: Raises where the promise is broken; takes the subject, or a bench with it.
        runs: Whether it takes a bench.
    """

    name: str
    kinds: tuple[str, ...]
    function: Callable[[Any], None]
    runs: bool = False

    @property
    def promise(self) -> str:
        """What it checks, in one line."""
        return (self.function.__doc__ or "").splitlines()[0].replace("``", "`")


CHECKS = (
    Check("loads", ("entry point",), loads),
    Check("options", MADE, has_options),
    Check("signature", MADE, signature),
    Check("documented", MADE, options_documented),
    Check("messages", MADE, messages),
    Check("whole-numbers", MADE, whole_numbers),
    Check("steps", ("schedule", "switch"), steps),
    Check("cover", ("mask",), cover),
    Check("global-state", VALUES, value_state),
    Check("recipe", MADE, recipe),
    Check("adapter", ("family",), family),
    Check("family-shapes", ("family",), shapes),
    Check("family-strength-0", ("family",), family_strength_0),
    Check("family-batch", ("family",), family_batch),
    Check("family-after-exception", ("family",), clean),
    Check("edits", ("model",), model),
    Check("preset", ("preset",), preset),
    Check("command", ("command",), command),
    Check("hooks", RUNS, bound_signature, runs=True),
    Check("returns", RUNS, returns, runs=True),
    Check("acts", METHOD, acts, runs=True),
    Check("strength", METHOD, strength, runs=True),
    Check("strength-0", METHOD, strength_0, runs=True),
    Check("bfloat16", RUNS, bfloat16, runs=True),
    Check("batch", RUNS, batch, runs=True),
    Check("cfg", RUNS, cfg, runs=True),
    Check("references", RUNS, references, runs=True),
    Check("masks", METHOD, masks, runs=True),
    Check("mutation", RUNS, no_mutation, runs=True),
    Check("global-state", RUNS, no_global_state, runs=True),
    Check("deterministic", RUNS, deterministic, runs=True),
    Check("inference-mode", RUNS, inference_mode, runs=True),
    Check("install-order", RUNS, install_order, runs=True),
    Check("two-editors", RUNS, two_editors, runs=True),
    Check("after-exception", RUNS, after_exception, runs=True),
    Check("compiles", RUNS, compiles, runs=True),
)


@attrs.frozen(eq=False)
class Task:
    """One check of one subject; calling it runs it.

    Attributes:
        subject: What is checked.
        check: What for.
    """

    subject: Subject
    check: Check
    _bench: Callable[[], Bench] = attrs.field(repr=False)

    def __call__(self) -> None:
        """Run the check.

        Raises:
            CheckFailed: The plugin does not keep the promise.
        """
        try:
            self.check.function(self._bench() if self.check.runs else self.subject)
        except CheckFailed:
            raise
        except Exception as error:
            notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
            raise CheckFailed(f"{type(error).__name__}: {error}{notes}") from error

    def __str__(self) -> str:
        return f"{self.subject}: {self.check.name}"


def tasks_of(plugin: str | object) -> Iterator[Task]:
    """Yield every check of everything that a plugin registers.

    Raises:
        UnknownNameError: No installed plugin has the name.
        PluginError: A module or object is no plugin.
    """
    for subject in subjects_of(plugin):
        bench = functools.cache(functools.partial(Bench, subject))
        for check in CHECKS:
            if subject.kind in check.kinds:
                yield Task(subject, check, bench)


def check_expected(expected: Mapping[str, str]) -> None:
    """Refuse names of checks that there are not.

    Raises:
        InputError: One of them.
    """
    known = list(dict.fromkeys(check.name for check in CHECKS))
    for name, reason in expected.items():
        if name not in known:
            raise InputError(
                f"expected_failures names {name!r}, which is no check."
                f"{did_you_mean(name, known)} Checks: {listed(known)}"
            )
        if not isinstance(reason, str) or not reason:
            raise InputError(f"expected_failures[{name!r}] must be the reason, as a text")


def run_checks(
    plugin: str | object,
    expected: Mapping[str, str],
    on_result: Callable[[Result], object] = lambda _: None,
) -> Report:
    """Run every check of a plugin; one that cannot be made is not asked more."""
    check_expected(expected)
    results: list[Result] = []
    unusable: set[str] = set()
    for task in tasks_of(plugin):
        if str(task.subject) in unusable:
            continue
        result = _result(task)
        if result.outcome == "failed" and task.check.name == "options":
            unusable.add(str(task.subject))
        results.append(result)
        on_result(result)
    name = plugin if isinstance(plugin, str) else plugin_name(plugin)
    return judge(name, results, expected)


def _result(task: Task) -> Result:
    outcome: Literal["passed", "failed"] = "passed"
    message = ""
    try:
        task()
    except CheckFailed as error:
        outcome, message = "failed", str(error)
    return Result(str(task.subject), task.check.name, outcome, message)

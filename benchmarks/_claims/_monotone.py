"""Monotone strength: *kept* rises with it, the edit is done at 1, and steps do not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from _claims._functions import RISES, curve_cells, ranks
from _claims._read import GROUPS
from _claims._rules import picks, spread_of, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from _claims._evidence import Evidence
    from _claims._read import Monotone

    Array = npt.NDArray[np.float64]

DONE: Final = 0.5
SAME: Final = 0.1
LOCAL: Final = GROUPS["local"]


@attrs.frozen
class Figure:
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float

    def said(self, digits: int = 2, *, sign: bool = False) -> str:
        """Write it as ``value [low, high]``."""
        form = f"{'+' if sign else ''}.{digits}f"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@attrs.frozen
class Strength:
    """What strength does in the default form of a method.

    Attributes:
        method: Its name.
        kept: The mean at each strength.
        rank: Spearman's rank correlation of *kept* with strength.
        done: *Edit done* at 1.
        steps: *Kept* at a strength in a number of steps, less that in the usual number.
    """

    method: str
    kept: tuple[float, ...]
    rank: Figure
    done: Figure
    steps: dict[tuple[float, int], Figure]

    @property
    def misses(self) -> list[str]:
        """What is asked for and not so, in words; empty: nothing."""
        found = []
        if self.rank.value < RISES:
            found.append(
                f"*kept* does not rise all the way (rank correlation {self.rank.value:.2f})"
            )
        if self.done.value <= DONE:
            found.append(f"*edit done* at 1 is {self.done.value:.2f}")
        apart = {key: it for key, it in self.steps.items() if abs(it.value) > SAME}
        if apart:
            (strength, steps), worst = max(apart.items(), key=lambda it: abs(it[1].value))
            found.append(
                f"strength does not mean the same at every number of steps ({len(apart)} of"
                f" {len(self.steps)} beyond ±{SAME:g}; most {worst.value:+.2f}, at {strength:g} in"
                f" {steps} steps)"
            )
        return found


def strength_of(evidence: Evidence, method: str, asked: Monotone) -> Strength:
    """Return what was measured of a method.

    Raises:
        InputError: Something was not run.
    """
    main, few = (evidence.keys(LOCAL, group) for group in ("main", "few"))
    cells = curve_cells(method, asked.strengths)
    rows = np.stack([evidence.values(cell, "kept", main) for cell in cells])
    rows = rows[:, ~np.isnan(rows).any(axis=0)]
    steps = {}
    for strength, name in zip(asked.steps_at, curve_cells(method, asked.steps_at), strict=True):
        base = evidence.values(name, "kept", few)
        for count in asked.steps:
            more = evidence.values(f"{name} steps {count}", "kept", few)
            steps[strength, count] = _figure(more - base)
    return Strength(
        method=method,
        kept=tuple(rows.mean(axis=1)),
        rank=Figure(
            float(ranks(rows.mean(axis=1, keepdims=True))[0]),
            *spread_of(ranks(rows[:, picks(rows.shape[1])].mean(axis=-1))),
        ),
        done=_figure(evidence.values(f"{method} 1", "done", main)),
        steps=steps,
    )


def _figure(values: Array) -> Figure:
    values = values[~np.isnan(values)]
    return Figure(float(values.mean()), *spread_of(values[picks(len(values))].mean(axis=-1)))


def section(found: Sequence[Strength], asked: Monotone, few: int, usual: int) -> str:
    """Return the part of the page.

    Args:
        found: What was measured, one a method.
        asked: What is asked.
        few: How many scenes a kind were edited in other numbers of steps.
        usual: The number of steps of all other edits.
    """
    heads = [
        "method",
        *[f"{it:g}" for it in asked.strengths],
        "rank correlation",
        "*edit done* at 1",
    ]
    curve = [
        [f"`{it.method}`", *[f"{mean:.2f}" for mean in it.kept], it.rank.said(), it.done.said()]
        for it in found
    ]
    tried = ["method", "strength", *[f"{count} steps" for count in asked.steps]]
    steps = [
        [f"`{it.method}`", f"{at:g}",
         *[_marked(it.steps[at, count]) for count in asked.steps]]
        for it in found for at in asked.steps_at
    ]  # fmt: skip
    misses = "".join(
        f"- `{it.method}` {'misses: ' + '; '.join(it.misses) if it.misses else 'misses nothing'}.\n"
        for it in found
    )
    return f"""\
Asked of every method in its default form: *kept* does not fall from strength 0 to
{max(asked.strengths):g} (rank correlation of the mean with {len(asked.strengths)} strengths at
least {RISES:g}), *edit done* at 1 is above {DONE:g}, and *kept* at a strength is the same in
every number of steps, within ±{SAME:g}. Local kinds of edit.

{table(heads, curve)}
*Kept* in other numbers of steps, less that in {usual}; the first {few} scenes of each kind. A
star says that the interval is not within ±{SAME:g}.

{table(tried, steps)}
{misses}"""


def _marked(it: Figure) -> str:
    star = "" if within(it.low, it.high, (-SAME, SAME)) == "yes" else " \\*"
    return it.said(sign=True) + star


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

"""Common problems as measurements of a finished edit."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.advice.limits import mask_causes
from refhooks._apps.advice.measuring import CLEAR, SLIGHT, Measured, measure
from refhooks._base.notebooks import html_table, html_text
from refhooks._base.shift import NOTICED
from refhooks._base.strength_names import ARTIFACTS_ABOVE
from refhooks._core.plugins.loading import load_registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._apps.advice.limits import Limit
    from refhooks._base.shift import Shift
    from refhooks._core.contract.values import Row
    from refhooks._core.planning.timetable import Timetable

__all__ = ["Advice", "Issue", "Measured", "Steering", "measure"]

NOTHING_BELOW = 0.02  # share of pixels that changed clearly
FAINT_BELOW = 38 / 255  # how much the changed pixels changed
SIMILARITY_BELOW, EDGES_BELOW = 0.6, 0.7  # structure is lost where both are
BOUNDS = {
    "a pixel changed clearly": CLEAR,
    "a pixel changed at all": SLIGHT,
    "changes nothing: changed below": NOTHING_BELOW,
    "changes nothing, partial: change below": FAINT_BELOW,
    "loses structure: similarity below": SIMILARITY_BELOW,
    "loses structure: edges below": EDGES_BELOW,
    "artifacts: strength above": ARTIFACTS_ABOVE,
    "shifted: pixels above": NOTICED,
}
SAFE = 1.3
LITTLE_ATTENTION, MUCH_ATTENTION = 0.05, 0.5

NOTHING = "Changes nothing despite edit prompt"
LOST = "Loses all structure"
ARTIFACTS = "Artifacts and distortions"
PARTIAL = "Partial changes only"
SHIFTED = "Shifted or zoomed"


@attrs.frozen
class Steering:
    """What one reference did over the run.

    Attributes:
        methods: Those that acted, in order.
        mean: Of its strength over the steps.
        top: Its highest strength.
        above: Number of steps with a strength above 1.5.
        steps: Number of steps.
        attention: Its share of the attention at each step, a mean over blocks; ``None`` unless it
            was recorded.
    """

    methods: tuple[str, ...]
    mean: float
    top: float
    above: int
    steps: int
    attention: tuple[float, ...] | None = None


@attrs.frozen
class Issue:
    """A common problem, found.

    Attributes:
        problem: Its name.
        evidence: What was measured, beside its bound.
        causes: The likely ones, the likeliest first.
        suggestions: What to try.
    """

    problem: str
    evidence: tuple[str, ...]
    causes: tuple[str, ...]
    suggestions: tuple[str, ...]

    def __str__(self) -> str:
        """Return the problem, and a line for each thing to know of it."""
        told = [
            *(f"  measured: {text}" for text in self.evidence),
            *(f"  likely cause: {text}" for text in self.causes),
            *(f"  try: {text}" for text in self.suggestions),
        ]
        return "\n".join([self.problem, *told])


@attrs.frozen
class Advice:
    """What was measured of a finished edit, and which common problems it has.

    Attributes:
        measured: Of the picture and its source.
        references: What each reference did; ``None`` where only the pictures are known.
        first_sigma: Noise level at the first step; below 1 the run started from the source.
        issues: Those found, in a fixed order; last, whether the picture is shifted.
        unjudged: Those that need to know more than is known, and why.
        shift: How the picture lies over its source; ``None`` where that was not measured.
    """

    measured: Measured
    references: tuple[Steering, ...] | None
    first_sigma: float | None
    issues: tuple[Issue, ...]
    unjudged: tuple[str, ...]
    shift: Shift | None = None

    def lines(self) -> list[str]:
        """Return what was measured, a line each."""
        measured = self.measured
        clearly = f"{percent(measured.changed)} of the pixels, by {of_255(CLEAR)} or more"
        lines = [
            f"changed: {clearly}; those that changed at all, by {of_255(measured.change)}",
            f"structure: SSIM {measured.similarity:.2f}, edges in place {measured.edges:.2f}",
        ]
        if measured.inside is not None and measured.outside is not None:
            inside, outside = percent(measured.inside), percent(measured.outside)
            shares = f"{inside} of the pixels inside, {outside} outside"
            lines.insert(1, f"masks: changed are {shares}")
        for number, steering in enumerate(self.references or (), 1):
            lines.append(f"reference {number}: {_told(steering)}")
        return lines if self.shift is None else [*lines, str(self.shift)]

    def as_dict(self) -> dict[str, Any]:
        """Return the advice, and the bounds it was judged by, as what JSON can hold."""
        return {**attrs.asdict(self), "bounds": BOUNDS}

    def to_json(self) -> str:
        """Return the advice as JSON."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        lines = [line.partition(": ") for line in self.lines()]
        told = html_table((), [(name, said) for name, _, said in lines], "What changed")
        issues = [
            (it.problem, "; ".join(it.evidence), "; ".join(it.causes), "; ".join(it.suggestions))
            for it in self.issues
        ]
        heads = ("problem", "measured", "likely cause", "what to try")
        none = "<p>no common problem found</p>"
        found = html_table(heads, issues, "Common problems") if issues else none
        return told + found + "".join(f"<p>{html_text(line)}</p>" for line in self.unjudged)

    def __str__(self) -> str:
        """Return what was measured, the issues, and what could not be judged, as plain text."""
        issues = [str(issue) for issue in self.issues]
        none = [] if issues else ["no common problem found"]
        return "\n".join([*self.lines(), *issues, *none, *self.unjudged])


def advise(
    source: Image,
    result: Image,
    *,
    inside: Tensor | None = None,
    timetable: Timetable | None = None,
    attention_share: Tensor | None = None,
    shift: Shift | None = None,
    limit: Limit | None = None,
) -> Advice:
    """Measure a picture, and say which common problems it has.

    Args:
        source: RGB, of the result's size.
        result: RGB.
        inside: What masks cover, ``[height,width]``, bool; ``None`` without masks.
        timetable: What the references did; ``None`` where only the pictures are known.
        attention_share: As a result holds it.
        shift: How the picture lies over its source, if that was measured.
        limit: What ``inside`` is of: an edit mask, or region masks.
    """
    measured = measure(source, result, inside)
    references = None if timetable is None else _steering(timetable, attention_share)
    sigma = None if timetable is None else timetable.sigmas[0]
    masked = inside is not None and measured.inside is not None
    masks = (limit, float(inside.float().mean())) if masked else (None, 1.0)  # type: ignore[union-attr]
    case = _Case(measured, references, sigma is not None and sigma < 0.999, *masks)
    unjudged = [] if references is not None else [f"not judged: {ARTIFACTS} (no strength is known)"]
    return Advice(
        measured=measured,
        references=references,
        first_sigma=sigma,
        issues=(*case.issues(), *_shifted(shift)),
        unjudged=tuple(unjudged),
        shift=shift,
    )


def _steering(timetable: Timetable, share: Tensor | None) -> tuple[Steering, ...]:
    columns: list[tuple[Row, ...]] = list(
        zip(*[planned.rows for planned in timetable.steps], strict=True)
    )
    shares: Any = None if share is None else share.float().mean(dim=1).tolist()  # [N][1+references]
    return tuple(
        Steering(
            methods=tuple(dict.fromkeys(row.method for row in rows if row.strength > 0.0)),
            mean=sum(row.strength for row in rows) / len(rows),
            top=max(row.strength for row in rows),
            above=sum(row.strength > ARTIFACTS_ABOVE for row in rows),
            steps=len(rows),
            attention=None if shares is None else tuple(step[number + 1] for step in shares),
        )
        for number, rows in enumerate(columns)
    )


@attrs.frozen
class _Case:
    """What is known of an edit; what of it speaks for which issue."""

    measured: Measured
    references: tuple[Steering, ...] | None
    from_source: bool
    limit: Limit | None
    covered: float

    def issues(self) -> Iterator[Issue]:
        measured = self.measured
        changed = measured.changed if measured.inside is None else measured.inside
        where = "" if measured.inside is None else " inside the masks"
        faint = measured.change < FAINT_BELOW
        clearly = f"{percent(changed)} of the pixels{where} changed clearly"
        faintly = (
            f"those that changed at all, by {of_255(measured.change)} (below {of_255(FAINT_BELOW)})"
        )
        if faint and changed < NOTHING_BELOW:
            yield self._nothing(f"{clearly} (below {percent(NOTHING_BELOW)}); {faintly}")
        if measured.similarity < SIMILARITY_BELOW and measured.edges < EDGES_BELOW:
            yield self._lost(
                f"SSIM {measured.similarity:.2f} (below {SIMILARITY_BELOW}) and edges in place"
                f" {measured.edges:.2f} (below {EDGES_BELOW})"
            )
        for steering in self.references or ():
            if steering.above:
                yield _artifacts(steering)
                break
        if faint and changed >= NOTHING_BELOW:
            yield self._partial(f"{clearly}, but {faintly}")

    def _nothing(self, evidence: str) -> Issue:
        causes, tries = self._started()
        strong = self._strength() > 0.7
        if self.references is None or strong:
            causes.append(f"reference strength too high{self._said()}")
            tries.append("lower the strength to 0.5-0.7")
        causes += self._attention(MUCH_ATTENTION, "much")
        if self.references is not None and self._strength() <= 1.0:
            causes.append("the model does not know this edit, or not in these words")
            tries.append("other words for the edit, or a higher cfg")
        return Issue(NOTHING, (evidence,), tuple(causes), tuple(tries))

    def _lost(self, evidence: str) -> Issue:
        causes, tries = mask_causes(self.limit, self.covered, lost=True)
        if self.references is None or self._strength() < 0.8:
            causes.append(f"reference strength too low{self._said()}")
            tries.append("raise the strength to 0.8-1.0")
        causes += self._attention(LITTLE_ATTENTION, "little")
        if self.references is None or self._strength() > 0.0:
            causes.append(f"wrong method{self._used()}")
        tries.append(self._another())
        tries.append("a denoise below 1, which starts from the source itself")
        return Issue(LOST, (evidence,), tuple(causes), tuple(tries))

    def _partial(self, evidence: str) -> Issue:
        causes, tries = self._started()
        causes.append(f"the method fights the edit{self._used()}")
        tries.append(self._another())
        too_strong = self._strength() > 1.0
        tries.append("a strength of 1 or below" if too_strong else "another strength")
        return Issue(PARTIAL, (evidence,), tuple(causes), tuple(tries))

    def _another(self) -> str:
        others = [name for name in sorted(load_registry().methods) if name not in self._methods()]
        return f"a different method ({', '.join(others)})" if others else "other options"

    def _started(self) -> tuple[list[str], list[str]]:
        """The causes that lie in the masks, and in where the run started."""
        causes, tries = mask_causes(self.limit, self.covered)
        if self.from_source:
            causes.append("the run started from the source (denoise below 1)")
            tries.append("raise denoise")
        return causes, tries

    def _strength(self) -> float:
        """The highest mean strength of a reference; 0 where it is not known."""
        return max((steering.mean for steering in self.references or ()), default=0.0)

    def _methods(self) -> tuple[str, ...]:
        return tuple(name for steering in self.references or () for name in steering.methods)

    def _said(self) -> str:
        return "" if self.references is None else f": {self._strength():.2g} on average"

    def _used(self) -> str:
        return f" ({', '.join(dict.fromkeys(self._methods()))})" if self._methods() else ""

    def _attention(self, bound: float, word: str) -> Sequence[str]:
        """A cause where the references together get too much, or too little, of the attention."""
        shares = [steering.attention for steering in self.references or ()]
        told = [sum(share) / len(share) for share in shares if share]
        if not told or (sum(told) < bound) == (word == "much"):
            return []
        return [f"the references get {word} of the attention: {percent(sum(told))}"]


def _artifacts(steering: Steering) -> Issue:
    above = f"above {ARTIFACTS_ABOVE:g} at {steering.above} of {steering.steps} steps"
    return Issue(
        ARTIFACTS,
        (f"strength {steering.top:g} at its highest, {above}",),
        (f"reference strength above {ARTIFACTS_ABOVE:g}",),
        (f"keep the strength below {SAFE:g}",),
    )


def _shifted(shift: Shift | None) -> Iterator[Issue]:
    if shift is not None and shift.noticed:
        yield Issue(
            SHIFTED,
            (f"{shift} (above {NOTICED:g} px)",),
            (
                "the output has another size than the source, which was stretched to it",
                "the model moves what it makes",
            ),
            ("resolution='native' (--resolution native)", "align=True (--align)"),
        )


def _told(steering: Steering) -> str:
    if not steering.methods:
        return "strength 0 at every step"
    told = f"{', '.join(steering.methods)}, strength {steering.mean:.2g} on average"
    if not math.isclose(steering.top, steering.mean):
        told += f" and {steering.top:.2g} at most"
    if steering.attention is None:
        return told
    first, last = percent(steering.attention[0]), percent(steering.attention[-1])
    return f"{told}; attention share {first} at the first step, {last} at the last"


def of_255(value: float) -> str:
    """Return a value of 0–1 as people know them of pictures."""
    return f"{round(255 * value)} of 255"


def percent(share: float) -> str:
    """Return a share in percent; a small one is not none."""
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"

"""``refhooks.draw_lanes``: what every reference would do over the steps, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.forecast.planned import NATIVE, plan, references_of
from refhooks._base.advice import silenced
from refhooks._base.lanes import Lane, lanes_html
from refhooks._base.strength_names import ARTIFACTS_ABOVE
from refhooks._core.planning.lanes import lanes_of
from refhooks._core.planning.strategy import Reference, as_strategy
from refhooks._core.planning.timetable import Timetable
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.strategy import Stage, Strategy

__all__ = ["Lanes", "draw_lanes"]

STEPS = 28  # where neither the call nor a model says how many


@attrs.frozen
class Lanes:
    """References drawn over the steps of a run; a notebook shows them.

    Attributes:
        html: The drawing, an SVG a reference: the strength as a curve on its stages, with their
            methods and options. It loads nothing, and nothing that is written in it acts as markup.
        refused: One text a reference: why the plan refuses it, in the plan's own words; empty: it
            does not.
        timetable: What would run; ``None`` where anything is refused.
        together: Why references that can each be planned cannot be together; else empty.
    """

    html: str = attrs.field(repr=False)
    refused: tuple[str, ...]
    timetable: Timetable | None = attrs.field(default=None, repr=False)
    together: str = ""

    def _repr_html_(self) -> str:
        """What a notebook shows: the drawing."""
        return self.html


def draw_lanes(
    what: Timetable | Strategy | Stage | Method | str | Sequence[Reference],
    steps: int | None = None,
    *,
    editor: LoadedModel | None = None,
    refused: Sequence[str] = (),
    **options: Any,
) -> Lanes:
    """Return a drawing of what every reference would do at every step; nothing is run.

    What the plan refuses is no error here: it is written at the lane of its reference.

    Args:
        what: A timetable, or what :func:`refhooks.plan` takes.
        steps: Number of steps; ``None``: that of the editor's model, or 28.
        editor: As for :func:`refhooks.plan`.
        refused: Why references could not even be made, a text each; empty where one could be, and
            altogether where all could. One that could not stands in ``what`` by its picture alone.
        **options: The other arguments of :func:`refhooks.plan`.

    Raises:
        InputError: ``what`` is none of these.
    """
    registry = load_registry() if editor is None else editor.registry
    if isinstance(what, Timetable):
        lanes = lanes_of(what.steps, what.plugins)
        html = lanes_html(lanes, registry.methods)
        return Lanes(html, ("",) * len(what.steps[0].rows), what)
    references = references_of(what)
    count = STEPS if steps is None and editor is None else steps
    with silenced():
        drawn = _Planner(references, count, editor, options, tuple(refused))
        return drawn.lanes(registry.methods)


@attrs.frozen
class _Planner:
    """Plans references together and, where that is refused, finds out whose fault it is."""

    references: tuple[Reference, ...]
    steps: int | None
    editor: LoadedModel | None
    options: dict[str, Any]
    given: tuple[str, ...] = ()

    def lanes(self, registered: Any) -> Lanes:
        timetable = self._plan(self.references)
        if any(self.given):
            return self._with_given(timetable, registered)
        if isinstance(timetable, Timetable):
            strategies = [as_strategy(it.strategy, NATIVE) for it in self.references]
            lanes = lanes_of(timetable.steps, timetable.plugins, strategies)
            told = [self._titled(lane, at) for at, lane in enumerate(lanes)]
            notes = [Lane("Notes", notes=timetable.remarks)] if timetable.remarks else []
            html = lanes_html([*told, *notes], registered)
            return Lanes(html, ("",) * len(self.references), timetable)
        refused = self._refusals()
        lanes = [self._alone(at, reason) for at, reason in enumerate(refused)]
        together = "" if any(refused) else timetable
        if together:
            lanes.append(Lane("All of it", refused=together))
        return Lanes(lanes_html(lanes, registered), refused, None, together)

    def _with_given(self, timetable: Timetable | str, registered: Any) -> Lanes:
        """Those that could not be made are said; the others are drawn as they are planned."""
        found = self._refusals() if isinstance(timetable, str) else ("",) * len(self.references)
        refused = tuple(one or other for one, other in zip(self.given, found, strict=True))
        lanes = [
            self._titled(Lane("", refused=self.given[at]), at)
            if self.given[at]
            else self._alone(at, reason)
            for at, reason in enumerate(refused)
        ]
        together = timetable if isinstance(timetable, str) and not any(found) else ""
        lanes += [Lane("All of it", refused=together)] if together else []
        return Lanes(lanes_html(lanes, registered), refused, None, together)

    def _plan(self, references: Sequence[Reference]) -> Timetable | str:
        try:
            return plan(list(references), self.steps, editor=self.editor, **self.options)
        except RefhooksError as error:
            return str(error)

    def _refusals(self) -> tuple[str, ...]:
        """Why each is refused: planned after those before it, which then know its number."""
        before: list[Reference] = []
        refused: list[str] = []
        for reference in self.references:
            planned = self._plan([*before, reference])
            bare = attrs.evolve(reference, strategy=None)
            fault = isinstance(planned, str) and planned not in refused
            if fault and self.options and planned == self._plan([*before, bare]):
                fault = False  # it lies in the run, whatever the reference does
            refused.append(str(planned) if fault else "")
            before.append(bare if isinstance(planned, str) else reference)
        return tuple(refused)

    def _alone(self, at: int, refused: str) -> Lane:
        """A lane as no model knows it, where it can be drawn, with what is refused at it."""
        strategy = self.references[at].strategy
        lane = Lane(f"Reference {at + 1}")
        try:
            steps = STEPS if self.steps is None else self.steps
            timetable = plan([Reference("", strategy)], steps)
            lane = lanes_of(timetable.steps, (), [as_strategy(strategy, NATIVE)])[0]
        except RefhooksError:
            pass  # then it is said, and not drawn
        return attrs.evolve(self._titled(lane, at), refused=refused)

    def _titled(self, lane: Lane, at: int) -> Lane:
        """A lane with the name of its picture, and what its steps are warned of."""
        if at >= len(self.references):
            return lane
        reference = self.references[at]
        image = reference.image
        name = f": {Path(image).name}" if isinstance(image, str | Path) and str(image) else ""
        stages = as_strategy(reference.strategy, NATIVE).stages
        notes = []
        if lane.strengths and len(lane.blocks) < len(stages):
            notes.append(f"{len(stages) - len(lane.blocks)} of its stages get no step")
        if max(lane.strengths, default=0.0) > ARTIFACTS_ABOVE:
            notes.append(f"above {ARTIFACTS_ABOVE} artifacts are likely")
        return attrs.evolve(lane, title=f"Reference {at + 1}{name}", notes=tuple(notes))

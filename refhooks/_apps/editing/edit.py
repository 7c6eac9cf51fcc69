"""One edit: a plan, its run, and the recipe of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._apps.advice.baseline import baseline_of
from refhooks._apps.editing.distilled import warn_of_schedule
from refhooks._apps.editing.result import EditResult
from refhooks._apps.recipes.recording import make_recipes
from refhooks._base.once import keeping
from refhooks._core.planning.planner import make_plan
from refhooks._core.running.run import exclusive, run_plan

if TYPE_CHECKING:
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Request

__all__ = ["edit_planned", "run_edit"]


@keeping()
def run_edit(loaded: LoadedModel, request: Request) -> EditResult:
    """Run one edit.

    Raises:
        InputError: Something cannot be used; found before the first step.
        BusyError: The transformer already runs another edit.
        NotFiniteError: The final latents hold NaN or infinity.
        OutOfMemoryError: The device is full.
    """
    with exclusive(loaded.family):
        return edit_planned(loaded, request, make_plan(loaded, request))


def edit_planned(loaded: LoadedModel, request: Request, plan: Plan) -> EditResult:
    """Run a planned edit, on a model that runs no other; raises as :func:`run_edit`."""
    warn_of_schedule(loaded, plan)
    ran = run_plan(loaded, request, plan)
    shares = ran.attention_shares
    by_picture = shares if shares is not None and shares.ndim == 4 else None
    recipes, materials = make_recipes(loaded, request, plan, ran.images)
    return EditResult(
        images=ran.images,
        latents=ran.latents,
        timetable=ran.timetable,
        seeds=request.batch_seeds,
        attention_share=shares if by_picture is None else by_picture.mean(dim=-1),
        attention_shares=by_picture,
        drift=ran.drift,
        retouched=ran.retouched,
        before=baseline_of(loaded.registry, request, plan),
        recipes=recipes,
        materials=materials,
    )

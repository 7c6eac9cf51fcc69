"""One edit: a plan, its run, and the recipe of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._apps.advice.baseline import baseline_of
from refhooks._apps.editing.distilled import warn_of_schedule
from refhooks._apps.editing.full_memory import telling_full_memory
from refhooks._apps.editing.result import EditResult
from refhooks._apps.recipes.recording import make_recipes
from refhooks._attending.named_caches import with_step_cache
from refhooks._base.advice import warn_user
from refhooks._base.once import keeping
from refhooks._base.turns import exclusive, seconds_of, turns_of
from refhooks._base.weight_files.sources import source_of
from refhooks._core.planning.planner import make_plan
from refhooks._core.running.run import run_plan

if TYPE_CHECKING:
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Request

__all__ = ["edit_planned", "run_edit"]


def run_edit(loaded: LoadedModel, request: Request, *, wait: bool | float = False) -> EditResult:
    """Run one edit.

    Args:
        loaded: The model.
        request: What is asked for.
        wait: For another edit to end, in the order in which they came; a number is the most seconds
            to wait. What cannot be used is refused before.

    Raises:
        InputError: Something cannot be used; found before the first step.
        BusyError: The transformer already runs another edit.
        NotFiniteError: Encoded prompts, latents or pixels hold NaN or infinity.
        OutOfMemoryError: The device is full.
    """
    seconds = seconds_of(wait)
    if seconds != 0 and turns_of(loaded.family.transformer).is_taken:
        with keeping():  # no longer: who waits holds no decoded picture
            make_plan(loaded, request)
    turn = exclusive(loaded.family.transformer, seconds)
    cached = with_step_cache(loaded.family, request.cache)
    with turn, cached, keeping(), telling_full_memory(loaded, request):
        return edit_planned(loaded, request, make_plan(loaded, request))


def edit_planned(loaded: LoadedModel, request: Request, plan: Plan) -> EditResult:
    """Run a planned edit, on a model that runs no other; raises as :func:`run_edit`."""
    warn_of_schedule(loaded, plan)
    source = source_of(loaded.family.transformer)
    if source is not None:
        source.begin()  # the recipe needs the hash of its file
    with telling_full_memory(loaded, request):
        ran = run_plan(loaded, request, plan)
    of_all = f"after step {ran.steps} of {len(plan.timetable.steps)}"
    interrupted = ran.steps < len(plan.timetable.steps)
    if interrupted:
        warn_user(
            f"the run was interrupted {of_all} (pipe._interrupt), so its pictures are unfinished"
        )
    shares = ran.attention_shares
    by_picture = shares if shares is not None and shares.ndim == 4 else None
    lost = (f"it was interrupted {of_all}",) if interrupted else ()
    recipes, materials = make_recipes(loaded, request, plan, ran.images, ran.timetable, lost)
    return EditResult(
        images=ran.images,
        latents=ran.latents,
        timetable=ran.timetable,
        seeds=request.batch_seeds,
        attention_share=shares if by_picture is None else by_picture.mean(dim=-1),
        attention_shares=by_picture,
        drift=ran.drift,
        retouched=ran.retouched,
        kept=ran.kept,
        interrupted=interrupted,
        before=baseline_of(loaded.registry, request, plan),
        recipes=recipes,
        materials=materials,
    )

"""What a run tells, and what is left of it on the pipeline: nothing, also after an error."""

from __future__ import annotations

import types

import pytest
import torch
from plugs import Made, plugin

import refhooks as rh
from refhooks._base.turns import exclusive


def failing(ctx):
    """Raise after the last step."""
    raise ValueError("on purpose")


PLUGINS = {"done": [], "failed": [plugin(refhooks_image=failing)]}


def run(edit, how):
    """Run an edit that ends well, or in an error after its last step."""
    if how == "done":
        edit(plugins=PLUGINS[how])
        return
    with pytest.raises(ValueError, match="on purpose"):
        edit(plugins=PLUGINS[how])


@pytest.mark.parametrize("how", PLUGINS)
def test_an_offloaded_pipeline_goes_to_rest_after_the_last_pass(edit, pipe, monkeypatch, how):
    """Once the transformer has run, the pipeline is told that it may take it off the device."""
    order = []
    handle = pipe.transformer.register_forward_hook(lambda *_: order.append("pass"))
    monkeypatch.setattr(pipe, "maybe_free_model_hooks", lambda: order.append("rest"))
    try:
        run(edit, how)
    finally:
        handle.remove()

    assert order[-1] == "rest"
    assert order.count("pass") == 6  # three steps, two branches


@pytest.mark.parametrize("how", PLUGINS)
def test_the_timestep_of_a_run_does_not_stay_on_the_pipeline(edit, pipe, how):
    """Step caches ask the pipeline for it, and would take an old one for their own."""
    run(edit, how)

    assert pipe._current_timestep is None


def test_bind_is_told_the_noise_levels_of_the_steps(edit):
    """RunInfo.sigmas are those that the steps have, from 1 down."""
    told, seen = [], []

    def bind(_reference, info):
        told.append(info.sigmas)
        return plugin(refhooks_step=lambda ctx: seen.append(ctx.step.sigma))

    edit(strategy=Made(bind))

    assert len(seen) == 3
    assert tuple(seen) == told[0]
    assert told[0][0] == 1.0


def test_a_compiled_model_is_its_original(pipe, editor):
    """While one of them edits, the other is refused: they share their weights."""
    compiled = types.SimpleNamespace(transformer=torch.compile(pipe.transformer, backend="eager"))

    with (
        exclusive(editor.family.transformer),
        pytest.raises(rh.BusyError),
        exclusive(compiled.transformer),
    ):
        pass


def test_the_advice_knows_where_the_run_began(edit):
    """An edit from noise starts at noise level 1, one at denoise 0.5 below."""
    assert edit().advice.first_sigma == pytest.approx(1.0)
    assert edit(denoise=0.5).advice.first_sigma < 0.99


def test_a_schedule_over_edits_is_asked_at_the_share_that_is_left():
    """Of four edits, the levels are 1, 0.75, 0.5 and 0.25, as of four steps without a model."""
    from refhooks._core.planning.compilation import strengths_over

    asked = []

    class Watching:
        name = "watching"

        def strength(self, step):
            asked.append(step.run.sigma)
            return 0.5

    strengths_over(Watching(), 4, rh.load_registry(), "strength", 2.0)

    assert asked == [1.0, 0.75, 0.5, 0.25]
    assert rh.plan("default", steps=4).sigmas == (1.0, 0.75, 0.5, 0.25)

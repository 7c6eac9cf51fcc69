"""Where references see only themselves at t = 0, reuse is the same edit to rounding."""

from __future__ import annotations

import pytest
import tiny
import torch

import refhooks as rh


def same(one, other):
    """Check that two results are equal to rounding."""
    torch.testing.assert_close(one.latents, other.latents, atol=1e-6, rtol=0)


@pytest.mark.parametrize("reuse", ["once", "every 1", "every 2", "every 4"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_one_reference(causal, run, given, reuse, cfg):
    """Every interval gives what no reuse gives, with and without guidance, and fewer tokens."""
    with given(causal) as counts:
        found = run(causal, 0.7, {"reuse": reuse}, cfg=cfg)

    same(found, run(causal, 0.7, cfg=cfg))
    rows = [step.rows[0] for step in found.timetable.steps]
    passes = 2 if cfg > 1 else 1
    assert counts == [16 + row.tokens for row in rows for _ in range(passes)]
    assert {drift.mean for drift in found.drift} <= {0.0}


@pytest.mark.parametrize(
    "how", [{"gain": "keys"}, {"softmax": "separate"}, {"layers": "1-1"}, {"layers": [0.5, 1.2]}]
)
def test_with_the_other_options(causal, run, how):
    """What weighs the keys acts on those that are loaded."""
    same(run(causal, 0.7, {"reuse": "once", **how}), run(causal, 0.7, how))


def test_strength_acts_at_every_step(causal, run):
    """A schedule goes on over loaded steps, through steps at 0 as well."""
    strengths = [0.3, 1.0, 0.0, 1.4, 0.8, 1.0]

    same(run(causal, strengths, {"reuse": "once"}), run(causal, strengths))


@pytest.mark.parametrize("larger", [False, True])
def test_several_references_with_their_own_settings(causal, run, larger):
    """One reuses once, one every 2, one never; one larger than the output moves the text."""
    size = (96, 64) if larger else (32, 32)
    stages = [("once", 0.6), ("every 2", 1.0)]

    def edit(*, reused):
        others = [
            rh.Reference(
                tiny.picture(place, size),
                rh.Stage(rh.method("cross_attn", reuse=reuse if reused else "never"), strength),
                resolution="native",
            )
            for place, (reuse, strength) in enumerate(stages, 1)
        ]
        return run(causal, 0.8, references=others)

    same(edit(reused=True), edit(reused=False))


def test_a_stage_that_begins_in_mid_run(causal, run):
    """Its first step stores, also behind another stage that reuses."""

    def strategy(*reuses):
        return rh.Strategy([
            rh.Stage("default", until=0.2),
            rh.Stage(rh.method("cross_attn", reuse=reuses[0]), 0.5, until=0.6),
            rh.Stage(rh.method("cross_attn", reuse=reuses[1]), 1.2),
        ])  # fmt: skip

    found = run(causal, strategy=strategy("once", "every 2"))

    same(found, run(causal, strategy=strategy("never", "never")))
    reused = [step.rows[0].reused for step in found.timetable.steps]
    assert reused == [False, False, False, True, False, True]


def test_content_and_region_masks(causal, run):
    """Kept tokens alone are stored; a region acts on what is loaded; a change stores anew."""
    masks = [
        rh.mask("0,0,50%,100%", kind="content", strength=[1, 1, 1, 0, 0, 0]),
        rh.mask("0,0,100%,50%", kind="region"),
    ]

    def edit(reuse):
        stage = rh.Stage(rh.method("cross_attn", reuse=reuse), 0.8)
        return run(causal, strategy=rh.Strategy([stage], masks=masks))

    found = edit("once")

    same(found, edit("never"))
    rows = [step.rows[0] for step in found.timetable.steps]
    assert [row.tokens for row in rows] == [8, 0, 0, 16, 0, 0]


def test_a_batch(causal, run):
    """Every picture has keys and values of its own."""
    same(run(causal, 0.7, {"reuse": "once"}, n=3), run(causal, 0.7, n=3))


def test_a_branch_that_another_method_adds_at_some_steps(causal, run):
    """It stores at its first step, whenever that is."""
    others = [
        rh.Reference(tiny.picture(1, (32, 32)), rh.Stage("guidance", [1, 1, 0.5, 0.5, 1, 1.4]))
    ]

    same(
        run(causal, 0.7, {"reuse": "every 3"}, references=others),
        run(causal, 0.7, references=others),
    )


def test_it_says_that_it_is_exact(causal, run):
    """The family states it, and the plan repeats it once."""
    remarks = run(causal, 0.7, {"reuse": "once"}).timetable.remarks

    assert causal.model.reuse_exact
    assert [line for line in remarks if line.startswith("reuse is exact")] == [remarks[-1]]

"""Reuse where it is an approximation: what is stored, what moves, and what stays as it was."""

from __future__ import annotations

import itertools

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks.batch import Job, edit_batch

PASSES = ("cond", "uncond")


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_stored_at_every_step_it_is_no_reuse_to_the_bit(editor, run, strength):
    """At strength 1 that is the stock pipeline."""
    found = run(editor, strength, {"reuse": "every 1"}, cfg=3.0)

    assert torch.equal(found.latents, run(editor, strength, cfg=3.0).latents)


def test_padded_text(pipe, editor, run):
    """Prompts of different length hide their padding while keys are stored, too."""
    prompts = ["make it blue", "explain the texture of the background"]

    def edit(reuse):
        stage = rh.Stage(rh.method("cross_attn", reuse=reuse))
        return editor.edit(tiny.picture(), prompts, strategy=stage, steps=3, seed=1, cfg=1.0)

    assert torch.equal(edit("every 1").latents, edit("never").latents)


def test_it_changes_the_picture_and_less_the_more_often_it_stores(editor, run):
    """An approximation, and its error falls to 0."""
    exact = run(editor, 0.8, steps=8).latents

    errors = [
        (run(editor, 0.8, {"reuse": reuse}, steps=8).latents - exact).norm().item()
        for reuse in ("once", "every 4", "every 2", "every 1")
    ]

    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0.0
    assert errors[-2] > 0.0


def test_what_is_planned_runs(editor, run, given):
    """At the steps that the timetable calls reused the model gets the target alone."""
    with given(editor) as counts:
        result = run(editor, 0.8, {"reuse": "every 3"}, cfg=3.0)

    rows = [step.rows[0] for step in result.timetable.steps]
    assert [row.reused for row in rows] == [False, True, True, False, True, True]
    assert counts == [16 + row.tokens for row in rows for _ in PASSES]


def test_drift_is_that_of_what_is_stored(editor, run, stored):
    """Relative L2 of keys and of values for each block, as reckoned from a run's own ones."""
    result = run(editor, 0.8, {"reuse": "every 1"}, plugins=[stored])

    assert [(entry.step, entry.since) for entry in result.drift] == [
        (n, n - 1) for n in range(1, 6)
    ]
    for entry in result.drift:
        old, new = stored.kept[entry.since], stored.kept[entry.step]
        pairs = [(old.keys, new.keys), (old.values, new.values)]
        expected = [(b - a).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1) for a, b in pairs]
        torch.testing.assert_close(entry.blocks, torch.stack(expected, dim=-1).unsqueeze(1))
        assert entry.mean == pytest.approx(float(torch.stack(expected).mean()))
        block, worst = entry.worst_block
        assert worst == pytest.approx(float(torch.stack(expected).mean(0).max()))
        assert block == int(torch.stack(expected).mean(0).argmax())
        assert entry.mean > 0.0


def test_drift_of_every_branch(editor, run):
    """The first step has nothing to compare with; once has no second look."""
    result = run(editor, 0.8, {"reuse": "every 2"}, cfg=3.0)

    assert [(entry.step, entry.since, entry.branch) for entry in result.drift] == [
        (step, step - 2, branch) for step in (2, 4) for branch in PASSES
    ]
    assert run(editor, 0.8, {"reuse": "once"}).drift == ()
    assert run(editor, 0.8, {"reuse": "every 2", "measure_drift": False}).drift == ()
    assert run(editor, 0.8).drift == ()


def test_measuring_changes_nothing(editor, run):
    """To the bit."""
    one, other = (
        run(editor, 0.8, {"reuse": "every 2", "measure_drift": measure}).latents
        for measure in (True, False)
    )

    assert torch.equal(one, other)


def test_a_drift_limit_shortens_the_next_interval(editor, run):
    """To what keeps to it at that rate, one step at least; a limit that is kept is no limit."""

    def steps(limit):
        how = {"reuse": "every 4", "drift_limit": limit}
        return [entry.step for entry in run(editor, 0.8, how, steps=12).drift]

    first = run(editor, 0.8, {"reuse": "every 4"}, steps=12).drift[0].mean

    assert steps(10.0) == [4, 8]
    assert steps(1e-9) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert steps(0.6 * first)[:2] == [4, 6]


def test_the_picture_that_moves_most_decides_for_its_batch(editor):
    """Interval by interval, as the worst of the drifts says."""
    how = rh.method("cross_attn", reuse="every 4", drift_limit=0.05)
    jobs = [Job(tiny.picture(number, (32, 32)), "make it blue", seed=number) for number in range(3)]

    result = edit_batch(editor, jobs, strategy=rh.Stage(how, 0.8), steps=12, cfg=1.0)

    for one, other in itertools.pairwise(result.drift):
        worst = float(one.blocks.mean(dim=(0, 2)).max())
        expected = max(1, min(4, int(0.05 / (worst / (one.step - one.since)))))
        assert expected == other.step - other.since


def test_batches_are_single_edits(editor):
    """Keys and values are those of each picture; what is reused is the same."""
    stage = rh.Stage(rh.method("cross_attn", reuse="every 2"), 0.7)
    jobs = [Job(tiny.picture(number, (32, 32)), "make it blue", seed=number) for number in range(2)]

    together = edit_batch(editor, jobs, strategy=stage, steps=4, cfg=3.0)

    for place, job in enumerate(jobs):
        alone = editor.edit(
            job.image, job.prompt, strategy=stage, seed=job.seed, steps=4, cfg=3.0
        ).latents
        torch.testing.assert_close(together.latents[place], alone[0], atol=1e-5, rtol=0)


def test_shares_are_recorded_at_loaded_steps(editor, run):
    """The reference has its share where it gives no tokens."""
    share = run(editor, 0.8, {"reuse": "once"}, record_attention=True).attention_share

    assert (share[:, :, 1] > 0).all()
    torch.testing.assert_close(share.sum(-1), torch.ones(6, 2))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_next_run_is_the_same(editor, run, error):
    """Nothing of a run is left to the next one."""

    class Fails:
        @rh.hookimpl
        def refhooks_velocity(self, ctx):
            if ctx.step.index == 3:
                raise error("broken")

    before = run(editor, 0.8, {"reuse": "every 2"}).latents
    with pytest.raises(error):
        run(editor, 0.8, {"reuse": "every 2"}, plugins=[Fails()])

    assert torch.equal(before, run(editor, 0.8, {"reuse": "every 2"}).latents)


def test_a_plugin_that_empties_the_slot_of_a_branch(editor, run, given):
    """That branch stays without the reference: there is nothing to store, so nothing is read."""

    class Without:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, branch, inputs):
            return inputs.fill(0, None) if branch.name == "uncond" else None

    with given(editor) as counts:
        found = run(editor, 1.0, {"reuse": "once"}, cfg=3.0, plugins=[Without()], steps=3)

    assert counts == [32, 16, 16, 16, 16, 16]
    expected = run(editor, 1.0, cfg=3.0, plugins=[Without()], steps=3)
    assert not torch.equal(found.latents, expected.latents)
    assert (found.latents - expected.latents).norm() < 0.05 * expected.latents.norm()


def test_drift_buffers_are_checked(editor, run):
    """A plugin of a stranger's that gives another shape hears which it must be."""

    @attrs.define(eq=False)
    class Wrong:
        @rh.hookimpl
        def refhooks_attention(self, ctx, layout):
            shape = (ctx.blocks, 1, 16, 2, 16)
            held = rh.KeyValues(torch.zeros(shape), torch.zeros(shape), torch.zeros(2))
            return [rh.AttentionEdit(0, store=held)]

    with pytest.raises(
        rh.HookReturnError, match=r"store.drift must be \[blocks,B,2\] = \[2, 1, 2\]"
    ):
        run(editor, 1.0, plugins=[Wrong()])


def test_keys_of_other_tokens_are_no_drift(editor):
    """Where a mask gives way to another, as many tokens are stored, but not the same ones."""
    masks = [
        rh.mask(box, kind="content", strength=held)
        for box, held in (
            ("0,0,50%,100%", [1] * 3 + [0] * 3),
            ("50%,0,50%,100%", [0] * 3 + [1] * 3),
        )
    ]
    how = rh.method("cross_attn", reuse="every 2")
    strategy = rh.Strategy(rh.Stage(how, 0.8), masks=masks)

    result = editor.edit(
        tiny.picture(0, (32, 32)), "make it blue", strategy=strategy, steps=6, seed=1, cfg=1.0
    )

    assert [(entry.since, entry.step) for entry in result.drift] == [(0, 2), (3, 5)]


def test_a_mask_that_fades_takes_no_other_buffers(editor, monkeypatch):
    """As many tokens are stored anew at each step, where the ones before were."""
    made, zeros = [], torch.zeros

    def noted(*given, **options):
        tensor = zeros(*given, **options)
        made.append(tensor.shape)
        return tensor

    mask = rh.mask("0,0,50%,100%", kind="content", strength=[1.0, 0.95, 0.9, 0.85])
    how = rh.method("cross_attn", reuse="every 4")
    strategy = rh.Strategy(rh.Stage(how, 0.8), masks=[mask])
    monkeypatch.setattr(torch, "zeros", noted)
    editor.edit(
        tiny.picture(0, (32, 32)), "make it blue", strategy=strategy, steps=4, seed=1, cfg=1.0
    )

    assert len([shape for shape in made if len(shape) == 5]) == 2

"""Common problems: each is found where it is, and not where it is not."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from PIL import Image
from places import DOCS

import refhooks as rh
from refhooks._apps.advice.advice import ARTIFACTS, LOST, NOTHING, PARTIAL, advise

STRONG = rh.Stage("default", 1.8)
NOISE = Image.effect_noise((64, 64), 120).convert("RGB")
GREY, OTHER = (Image.new("RGB", (64, 64), (value,) * 3) for value in (100, 160))


def test_a_good_edit_has_none(problems):
    """Night, at strength 1."""
    assert problems() == []


def test_an_edit_that_changes_nothing_is_found(problems, edit):
    """A short way back to noise, and too strong a reference: both causes are named."""
    options = {"prompt": "make the circle blue", "denoise": 0.1, "strategy": STRONG}
    with pytest.warns(rh.RefhooksWarning, match="artifacts"):
        advice = edit(**options).advice
    issue = advice.issues[0]
    assert issue.problem == NOTHING
    assert "denoise below 1" in issue.causes[0]
    assert "strength too high: 1.8" in issue.causes[1]
    assert "lower the strength to 0.5-0.7" in issue.suggestions


def test_lost_structure_is_found(problems, edit):
    """Without the reference another scene is drawn."""
    nothing_of_it = rh.Stage("default", 0.0)
    assert LOST in problems(strategy=nothing_of_it)
    issue = edit(strategy=nothing_of_it).advice.issues[0]
    assert "strength too low: 0" in issue.causes[0]
    assert any("inject" in text for text in issue.suggestions)


@pytest.mark.filterwarnings("ignore:.*artifacts")
def test_too_much_strength_is_found(problems, edit):
    """Above 1.5 at any step; at 1.5 it is not."""
    schedule = rh.Stage("default", (1.0, 1.0, 1.6, 1.0, 1.0, 1.0))
    [issue] = [it for it in edit(strategy=schedule).advice.issues if it.problem == ARTIFACTS]
    assert "1.6 at its highest, above 1.5 at 1 of 6 steps" in issue.evidence[0]
    assert ARTIFACTS not in problems(strategy=rh.Stage("default", 1.5))


def test_a_partial_change_is_found(problems):
    """Between no night and night there is a dusk."""
    found = [problems(denoise=denoise) for denoise in (0.12, 0.16, 0.2, 0.25)]
    assert [PARTIAL] in found
    assert PARTIAL not in problems()


def test_a_small_edit_that_was_done_is_no_issue():
    """1 % of the pixels, from black to white."""
    done = GREY.copy()
    done.paste((255, 255, 255), (0, 0, 6, 7))
    advice = advise(GREY, done)
    assert advice.measured.changed < 0.02
    assert advice.issues == ()


def test_masks_are_measured_apart():
    """What is inside is judged."""
    half = torch.zeros(64, 64, dtype=torch.bool)
    half[:, :32] = True
    done = GREY.copy()
    done.paste(OTHER, (0, 0), Image.fromarray(half.numpy()))

    inside, outside = advise(GREY, done, inside=half), advise(GREY, done, inside=~half)

    assert (inside.measured.inside, inside.measured.outside) == (1.0, 0.0)
    assert (outside.measured.inside, outside.measured.outside) == (0.0, 1.0)
    assert NOTHING not in [issue.problem for issue in inside.issues]
    assert [issue.problem for issue in outside.issues] == [NOTHING]


def test_a_mask_is_blamed_before_the_method():
    """An edit mask that may miss what is meant; a region mask outside of which nothing holds."""
    corner = torch.zeros(64, 64, dtype=torch.bool)
    corner[:8, :32] = True

    [nothing] = advise(GREY, GREY, inside=corner, limit="edit").issues
    plain = advise(GREY, GREY, inside=corner).issues[0]
    [lost, *_] = advise(NOISE, GREY, inside=corner, limit="region").issues

    assert nothing.problem == NOTHING
    assert nothing.causes[0] == (
        "the edit mask lets 6% of the picture change, which is little, and may miss what the prompt"
        " speaks of"
    )
    assert nothing.suggestions[0].startswith("a mask that covers all of what is to change")
    assert nothing.causes[1:] == plain.causes
    assert lost.problem == LOST
    assert lost.causes[0] == (
        "the model is given the reference in 6% of the picture only: elsewhere nothing holds it"
    )
    assert "an edit mask in place of the region mask" in lost.suggestions[0]
    assert lost.causes[-1].startswith("wrong method")


def test_a_mask_that_covers_everything_is_not_blamed():
    """It confines nothing."""
    everything = torch.ones(64, 64, dtype=torch.bool)
    whole = advise(GREY, GREY, inside=everything, limit="edit").issues
    assert whole == advise(GREY, GREY).issues


@pytest.mark.parametrize("limit", ["edit", "region"])
def test_a_run_tells_what_its_masks_limit(edit, monkeypatch, limit):
    """And a picture that is explained later says the same."""
    seen = []
    monkeypatch.setattr(
        "refhooks._apps.advice.advice.advise", lambda *_pictures, **given: seen.append(given)
    )
    left = rh.mask("0,0,50%,100%")
    given = {"edit_mask": left} if limit == "edit" else {
        "strategy": rh.Strategy("default", masks=[left])
    }  # fmt: skip
    edit(**given).advise()

    assert [call["limit"] for call in seen] == [limit]


def test_a_run_knows_its_masks(edit):
    """An edit mask keeps what is outside to the bit; regions of references count likewise."""
    left = rh.mask("0,0,50%,100%")
    measured = edit(edit_mask=left).advice.measured
    assert measured.outside == 0.0
    assert measured.inside > 0.5
    region = edit(strategy=rh.Strategy("default", masks=[left])).advice.measured
    assert region.outside is not None


def test_attention_is_told_and_is_a_cause(edit):
    """Where it was recorded."""
    advice = edit(record_attention=True).advice
    shares = advice.references[0].attention
    assert len(shares) == 6
    assert all(0.0 < share < 1.0 for share in shares)
    assert "attention share" in str(advice)


def test_without_a_timetable_strength_is_not_judged():
    """It says so, and the usual cause is given."""
    advice = advise(GREY, GREY)
    assert advice.issues[0].causes == ("reference strength too high",)
    assert advice.unjudged == (f"not judged: {ARTIFACTS} (no strength is known)",)


def test_json_holds_everything(edit):
    """Numbers, their bounds, and the advice."""
    advice = edit(record_attention=True).advice
    held = json.loads(advice.to_json())
    assert held["measured"]["changed"] == advice.measured.changed
    assert held["bounds"]["artifacts: strength above"] == 1.5
    assert set(held) == {
        "measured", "references", "first_sigma", "issues", "unjudged", "bounds", "shift",
    }  # fmt: skip


def test_an_edit_without_a_source_has_nothing_to_compare_with(editor):
    """It says so."""
    result = editor.edit(None, "a house", height=32, width=32, steps=2, seed=0)
    for call in (lambda: result.advice, result.compare, lambda: result.save_report("a.html")):
        with pytest.raises(rh.InputError, match="no source picture"):
            call()


def test_pictures_are_counted_from_0(editor):
    """In a batch each has its own advice."""
    result = editor.edit(tiny.picture(), "blue", steps=2, seed=0, n=2)
    assert result.advise(1) != result.advise(0)
    with pytest.raises(rh.InputError, match="there is no 2"):
        result.advise(2)
    with pytest.raises(rh.InputError, match="there is no 2"):
        result.save_report("a.html", 2)


def test_every_issue_is_one_of_the_pages():
    """By names that do not change."""
    page = (DOCS / "grid-and-advice.md").read_text(encoding="utf-8")
    for problem in (NOTHING, LOST, ARTIFACTS, PARTIAL):
        assert problem in page


def test_each_picture_of_a_batch_has_its_own_attention(monkeypatch, edit):
    """Not the mean over all of them."""
    result = edit(n=2, record_attention=True)
    seen = []
    monkeypatch.setattr(
        "refhooks._apps.advice.advice.advise", lambda *_pictures, **given: seen.append(given)
    )

    for number in range(2):
        result.advise(number)

    shares = [given["attention_share"] for given in seen]
    assert not torch.equal(*shares)
    for number, share in enumerate(shares):
        assert torch.equal(share, result.attention_shares[..., number])

"""Chains survive a file exactly, and a file that is none is refused with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refhooks as rh

FORMATS = pytest.mark.parametrize("ending", ["toml", "json"])
EDIT = '[[edit]]\nprompt = "one"\n'


def write(folder, text, name="c.toml"):
    """Write a file and return its path."""
    place = folder / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return place


number = st.floats(0, 2) | st.integers(0, 2)
share = st.floats(0, 1, exclude_min=True)
ends = st.fixed_dictionaries({"start": share, "end": share})
schedules = st.sampled_from(["linear", "cosine"]).flatmap(
    lambda name: ends.map(lambda options: rh.schedule(name, **options))
)
overs = st.none() | share | st.lists(share, min_size=1, max_size=3) | schedules | st.just("1:0.5")
methods = st.sampled_from(["default", "inject", rh.method("inject", where="input")])
masks = st.sampled_from([
    rh.mask("0,0,50%,50%"), rh.mask(Path("/m/a.png"), kind="content"), rh.mask((0, 0, 9, 9.5)),
])  # fmt: skip
stages = st.builds(
    rh.Stage, methods, number | schedules | st.lists(number, min_size=1, max_size=3),
    until=st.none() | share,
)  # fmt: skip
steering = st.one_of(
    st.none(), methods, stages,
    st.builds(
        lambda first, last, **options: rh.Strategy(
            [rh.Stage(first.method, first.strength, until=0.5), rh.Stage(last.method)], **options
        ), stages, stages, masks=st.lists(masks, max_size=2), vision=st.sampled_from(
            ["auto", "never"])),
    st.builds(rh.Strategy, stages, masks=st.lists(masks, max_size=2), vision=st.just("always")),
)  # fmt: skip
pictures = st.builds(
    rh.Reference, st.sampled_from([Path("/p/a.png"), Path("/p/b.png")]), steering,
    resolution=st.sampled_from([None, 4096, "native"]),
)  # fmt: skip
words = st.text(st.characters(codec="utf-8"), max_size=12)
plain = st.fixed_dictionaries({}, optional={
    "negative_prompt": words, "cfg": st.floats(0, 100), "steps": st.integers(1, 1000),
    "seed": st.integers(0, 2**63 - 1), "denoise": share,
    "references": st.lists(pictures, max_size=2),
    "edit_mask": st.sampled_from(["0,0,50%,9", Path("/m/a.png"), rh.mask("0,0,9,9", feather=2)]),
    "compute": st.sampled_from(["all", "inside", rh.Inside(halo=0, reuse=3, near=2)]),
})  # fmt: skip


@st.composite
def edits(draw):
    """An edit with any of its fields."""
    reference = draw(st.sampled_from(["previous", "original", "both"]))
    original = draw(steering) if reference == "both" else None
    return rh.Edit(
        draw(words), draw(steering), reference=reference, original=original, **draw(plain)
    )


quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FORMATS
@quick
@given(
    chain=st.builds(rh.Chain, st.lists(edits(), min_size=1, max_size=3), strength=overs,
                    denoise=overs)
)  # fmt: skip
def test_a_chain_survives_a_file(tmp_path, ending, chain):
    """Every field of an edit and of the chain, exactly; and the same text again from there."""
    place = rh.dump_chain(chain, tmp_path / f"c.{ending}")
    text = place.read_text(encoding="utf-8")

    again = rh.load_chain(place)

    assert chain == again
    assert rh.dump_chain(again, place).read_text(encoding="utf-8") == text


FORMS = {
    "": rh.Edit("one"),
    'method = "inject"': rh.Edit("one", "inject"),
    'method = "inject"\nstrength = 0.8': rh.Edit("one", rh.Stage("inject", 0.8)),
    'method = { method = "inject", where = "input" }':
        rh.Edit("one", rh.method("inject", where="input")),
    'method = "inject"\nstrength = "0.4:1.0"\nvision = "never"\n[[edit.mask]]\nbox = "0,0,9,9"':
        rh.Edit("one", rh.Strategy(rh.Stage("inject", "0.4:1.0"), vision="never",
                                   masks=[rh.mask("0,0,9,9")])),
    'method = "inject"\n[[edit.mask]]\nbox = "0,0,9,9"':
        rh.Edit("one", rh.Strategy("inject", masks=[rh.mask("0,0,9,9")])),
    '[[edit.stage]]\nmethod = "default"\nuntil = 0.5\n[[edit.stage]]\nmethod = "inject"':
        rh.Edit("one", rh.Strategy([rh.Stage("default", until=0.5), rh.Stage("inject")])),
    'reference = "both"\noriginal = "cross_attn"':
        rh.Edit("one", reference="both", original="cross_attn"),
    'reference = "both"\noriginal = { method = "cross_attn", strength = 0.5 }':
        rh.Edit("one", reference="both", original=rh.Stage("cross_attn", 0.5)),
    'reference = "both"\n[[edit.original.stage]]\nmethod = "cross_attn"\nstrength = 0.5':
        rh.Edit("one", reference="both", original=rh.Stage("cross_attn", 0.5)),
    '[[edit.picture]]\nimage = "/p/a.png"\nmethod = "inject"\nresolution = "native"':
        rh.Edit("one", references=[rh.Reference(Path("/p/a.png"), "inject", resolution="native")]),
    'edit_mask = "0,0,50%,50%"': rh.Edit("one", edit_mask="0,0,50%,50%"),
    "edit_mask = [0, 0, 9, 9]": rh.Edit("one", edit_mask=rh.mask((0, 0, 9, 9))),
    'edit_mask = { box = "0,0,9,9", feather = 2 }':
        rh.Edit("one", edit_mask=rh.mask("0,0,9,9", feather=2)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_edit_is_written_in_every_form(tmp_path, form):
    """One method in short or stages in full, the original likewise, pictures, an edit mask."""
    assert rh.load_chain(write(tmp_path, EDIT + form)) == rh.Chain([FORMS[form]])


def test_pictures_are_relative_to_the_file(tmp_path, monkeypatch):
    """Wherever the program is started from, for references, masks and edit masks."""
    monkeypatch.chdir(tmp_path)
    text = (
        f'{EDIT}edit_mask = "m.png"\nmethod = "default"\nstrength = 1.0\n[[edit.mask]]\n'
        'image = "face.png"\n[[edit.picture]]\nimage = "star.png"\n'
    )
    place = write(tmp_path, text, "sub/c.toml")

    [edit] = rh.load_chain("sub/c.toml").edits

    assert edit.edit_mask == Path("sub/m.png")
    assert edit.strategy.masks[0].shape.image == Path("sub/face.png")
    assert edit.references[0].image == Path("sub/star.png")
    rh.dump_chain(rh.Chain([edit]), "sub/c.toml")
    assert all(f'"{name}"' in place.read_text() for name in ("m.png", "face.png", "star.png"))


def test_a_chain_of_a_file_does_what_it_does_in_python(editor, tmp_path):
    """The same latents."""
    text = (
        'strength = "1:0.5"\ndenoise = 0.5\n[[edit]]\nprompt = "one"\nmethod = "cross_attn"\n'
        '[[edit]]\nprompt = "two"\nreference = "both"\noriginal = "inject"\nseed = 9\n'
    )
    edits = [
        rh.Edit("one", "cross_attn"), rh.Edit("two", reference="both", original="inject", seed=9),
    ]  # fmt: skip
    options = {"steps": 2, "cfg": 1.0, "seed": 1}

    read = editor.chain(tiny.picture(), rh.load_chain(write(tmp_path, text)), **options)
    made = editor.chain(tiny.picture(), edits, strength="1:0.5", denoise=0.5, **options)

    assert torch.equal(read.results[1].latents, made.results[1].latents)


BAD = {
    "unknown key": ("promt = 'x'", "edit 2: unknown key 'promt'. Did you mean 'prompt'?"),
    "no prompt": ("steps = 3", "edit 2: prompt is missing"),
    "prompt": ("prompt = 3", "edit 2: an edit's prompt must be a string, got 3"),
    "reference": ("prompt = 'x'\nreference = 'first'", "edit 2: an edit's reference must be one"),
    "references": ("prompt = 'x'\n[[edit.reference]]\nimage = 'a.png'",
                   "original or both; give other pictures as [[edit.picture]]"),
    "method": ("prompt = 'x'\nmethod = 'injct'", "edit 2: there is no method 'injct'. Did you"),
    "method is a number": ("prompt = 'x'\nmethod = 3", "edit 2: a stage's method must be"),
    "option": ("prompt = 'x'\nmethod = { method = 'inject', fitt = 1 }", "Did you mean 'fit'?"),
    "strength": ("prompt = 'x'\nmethod = 'inject'\nstrength = 3",
                 "edit 2: stage with method 'inject': strength must be a number from 0 to 2"),
    "strength alone": ("prompt = 'x'\nstrength = 1", "edit 2: strength needs a method, or"),
    "mask alone": ("prompt = 'x'\n[[edit.mask]]\nbox = '0,0,1,1'", "edit 2: mask needs a method"),
    "vision": ("prompt = 'x'\nmethod = 'inject'\nvision = 'no'", "edit 2: vision must be one of"),
    "both forms": ("prompt = 'x'\nmethod = 'inject'\n[[edit.stage]]\nmethod = 'inject'",
                   "edit 2: method and strength are short for one stage"),
    "stage": ("prompt = 'x'\n[[edit.stage]]\nmethod = 'inject'\nstrenth = 1",
              "edit 2, stage 1: unknown key 'strenth'. Did you mean 'strength'?"),
    "mask": ("prompt = 'x'\nmethod = 'inject'\n[[edit.mask]]\nboks = '0,0,1,1'",
             "edit 2, mask 1: unknown key 'boks'. Did you mean 'box'?"),
    "original unused": ("prompt = 'x'\noriginal = 'inject'", "edit 2: an edit's original says"),
    "original": ("prompt = 'x'\nreference = 'both'\noriginal = { methd = 'inject' }",
                 "edit 2, original: unknown key 'methd'. Did you mean 'method'?"),
    "original is a number": ("prompt = 'x'\nreference = 'both'\noriginal = 3",
                             "edit 2, original must be a table with method"),
    "picture": ("prompt = 'x'\n[[edit.picture]]\nimage = 3",
                "edit 2, picture 1: image must be a picture's path, got 3"),
    "pictures": ("prompt = 'x'\npicture = 'a.png'",
                 "edit 2: there is no [[edit.picture]]; edit.picture is 'a.png'"),
    "resolution": ("prompt = 'x'\n[[edit.picture]]\nimage = 'a.png'\nresolution = 'big'",
                   "edit 2, picture 1: a reference's resolution must be"),
    "edit mask": ("prompt = 'x'\nedit_mask = { boks = '0,0,1,1' }",
                  "edit 2, edit_mask: unknown key 'boks'"),
    "content": ("prompt = 'x'\nedit_mask = { box = '0,0,1,1', kind = 'content' }",
                "edit 2, edit_mask: an edit mask must be a region mask, got a content mask"),
    "edit mask is a number": ("prompt = 'x'\nedit_mask = 3", "edit 2, edit_mask: 3 is no mask"),
    "steps": ("prompt = 'x'\nsteps = 0", "edit 2: an edit's steps must be a whole number"),
    "seed": ("prompt = 'x'\nseed = 1.5", "edit 2: an edit's seed must be a whole number"),
    "denoise": ("prompt = 'x'\ndenoise = 0", "edit 2: an edit's denoise must be above 0"),
    "cfg": ("prompt = 'x'\ncfg = true", "edit 2: an edit's cfg must be a number"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_an_edit_that_is_none_is_refused(tmp_path, kind):
    """The message names file, edit and key, and what was probably meant."""
    text, message = BAD[kind]
    place = write(tmp_path, f"{EDIT}[[edit]]\n{text}\n")

    with pytest.raises((rh.StrategyError, rh.UnknownNameError)) as caught:
        rh.load_chain(place)

    assert str(caught.value).startswith(f"{place}: edit 2")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no [[edit]]"),
        ("edit = []", "there is no [[edit]]"),
        ("edit = 'x'", "there is no [[edit]]; edit is 'x'"),
        ("edit = [1]", "edit 1 must be a table with method"),
        ("stength = 1\n" + EDIT, "unknown key 'stength'. Did you mean 'strength'?"),
        ("strength = 3\n" + EDIT, "a chain's strength must be a number from 0 to 2, got 3"),
        ("strength = 'much'\n" + EDIT, "'much' is neither a number"),
        ("denoise = { schedule = 'liner' }\n" + EDIT, "Did you mean 'linear'?"),
        ("denoise = [1, 2]\n" + EDIT, "a chain's denoise[1] must be a number from 0 to 1"),
        ("strength = nan\n" + EDIT, "every number must be finite"),
        (
            '[[stage]]\nmethod = "inject"',
            "read it with load_strategy, or run it with refhooks edit",
        ),
        ('[[reference]]\nimage = "a.png"', "read it with load_references"),
        (f"x = {'[' * 40}{']' * 40}", "nested deeper than 32 levels"),
    ],
)
def test_a_file_that_is_no_chain_is_refused(tmp_path, text, message):
    """The message names the file."""
    place = write(tmp_path, text)

    with pytest.raises((rh.StrategyError, rh.UnknownNameError)) as caught:
        rh.load_chain(place)

    assert str(place) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("load", [rh.load_strategy, rh.load_references])
def test_a_chain_is_no_strategy(tmp_path, load):
    """The error says which function reads it, and which command runs it."""
    with pytest.raises(rh.StrategyError, match="read it with load_chain, or run it with refhooks"):
        load(write(tmp_path, EDIT))


UNWRITABLE = {
    "a picture in memory": (
        rh.Edit("a", references=[tiny.picture()]), "edit 1, picture 1: its picture is in memory"),
    "an array": (rh.Edit("a", edit_mask=np.ones((4, 4))), "edit 1, edit_mask: mask shape 'array'"),
    "a mask in memory": (
        rh.Edit("a", edit_mask=tiny.picture()), "edit_mask: image is a picture in memory"),
    "a function": (
        rh.Edit("a", rh.Stage("inject", rh.schedule("callable", function=lambda _: 1.0))),
        "edit 1, stage 1: schedule 'callable' holds a function, .* give a list with one number a"),
    "an unknown method": (rh.Edit("a", "injct"), "edit 1: there is no method 'injct'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNWRITABLE)
@FORMATS
def test_what_no_file_can_hold_is_refused(tmp_path, kind, ending):
    """Before anything is written."""
    edit, message = UNWRITABLE[kind]

    with pytest.raises(rh.RefhooksError, match=message):
        rh.dump_chain(rh.Chain([edit]), tmp_path / f"c.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_a_function_over_the_edits_is_refused(tmp_path):
    """The error says what to write instead; and a list of edits is no chain."""
    chain = rh.Chain([rh.Edit("a")], strength=rh.schedule("callable", function=lambda _: 1.0))

    with pytest.raises(rh.StrategyError, match=r"the chain's strength: .* one number an edit"):
        rh.dump_chain(chain, tmp_path / "c.toml")
    with pytest.raises(rh.StrategyError, match=r"write a refhooks.Chain, got \[Edit"):
        rh.dump_chain([rh.Edit("a")], tmp_path / "c.toml")
    with pytest.raises(rh.InputError, match="the ending must be"):
        rh.dump_chain(rh.Chain([rh.Edit("a")]), tmp_path / "c.yaml")

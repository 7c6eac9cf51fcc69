"""Positions and modulation as ComfyUI has them, by numbers; its own code is not needed."""

from __future__ import annotations

import pytest
import tiny
import torch
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main
from refhooks_qwen import _positions

TARGET = (4, 6)


class Indices:
    """An embedding whose frequencies are the positions themselves, so that they can be read."""

    axes_dim = (2, 2, 2)

    def __init__(self):
        ahead = torch.arange(64).float()
        behind = torch.arange(-64, 0).float()
        self.pos_freqs = ahead[:, None].expand(-1, 3)
        self.neg_freqs = behind[:, None].expand(-1, 3)


def places(grids, positions, center="native", reach=3):
    """Return the first and the last position of the target, of each reference, and of the text."""
    tokens = [
        (slot, rh.Tokens(torch.zeros(1, rows * columns, 1), positions=positions))
        for slot, (rows, columns) in enumerate(grids[1:])
    ]
    image, text = _positions.frequencies(
        Indices(), grids, tokens, reach, 5, torch.device("cpu"), center=center
    )
    counts = [rows * columns for rows, columns in grids]
    ends = [(tuple(each[0].tolist()), tuple(each[-1].tolist())) for each in image.split(counts)]
    return [*ends, (text[0, 0].item(), text[-1, 0].item())]


def test_even_grids_lie_around_zero():
    """Frame, row, column: four rows go from -2 to 1, six columns from -3 to 2."""
    target, first, second, text = places([TARGET, (4, 6), (2, 2)], "native", "floor")

    assert target == ((0, -2, -3), (0, 1, 2))
    assert first == ((1, -2, -3), (1, 1, 2))
    assert second == ((2, -1, -1), (2, 0, 0))
    assert text == (3, 7)


def test_odd_grids():
    """Diffusers has five rows from -3 to 1, ComfyUI from -2 to 2: so the target's too."""
    assert places([(5, 7), (3, 5)], "native")[:2] == [
        ((0, -3, -4), (0, 1, 2)), ((1, -2, -3), (1, 0, 1)),
    ]  # fmt: skip
    assert places([(5, 7), (3, 5)], "native", "floor")[:2] == [
        ((0, -2, -3), (0, 2, 3)), ((1, -1, -2), (1, 1, 2)),
    ]  # fmt: skip


def test_negative_frames():
    """The first reference on frame -1, the second on -2."""
    _, first, second, _ = places([TARGET, (2, 2), (2, 2)], "negative", "floor")

    assert first == ((-1, -1, -1), (-1, 0, 0))
    assert second == ((-2, -1, -1), (-2, 0, 0))


def test_one_picture_by_offset_is_where_native_has_it():
    """Frame 1, not moved."""
    grids = [TARGET, (4, 6)]

    assert places(grids, "comfy-offset") == places(grids, "native")


def test_several_pictures_by_offset():
    """Wide ones one below the other, tall ones side by side, all on frame 1."""
    _, *wide, _ = places([TARGET, (2, 4), (2, 4), (2, 4)], "comfy-offset")
    assert [first[1:] for first, _ in wide] == [(-1, -2), (1, -2), (3, -2)]
    assert {first[0] for first, _ in wide} == {1}

    _, *tall, _ = places([TARGET, (4, 2), (4, 2), (4, 2)], "comfy-offset")
    assert [first[1:] for first, _ in tall] == [(-2, -1), (-2, 1), (-2, 3)]

    _, *mixed, _ = places([TARGET, (2, 4), (4, 2)], "comfy-offset")
    assert [first[1:] for first, _ in mixed] == [(-1, -2), (0, -1)]


@pytest.fixture(scope="module")
def models():
    """A tiny model, and one of the same weights that modulates references at noise level 0."""
    return [rh.Editor(tiny.build("plus", "middle", zero_cond_t=zero)) for zero in (False, True)]


def edited(editor, modulations=("native",), plugins=(), size=(40, 56)):
    """Return the latents of an edit with one reference for each modulation."""
    methods = [rh.load_registry().method("default", {"modulate": it}) for it in modulations]
    pictures = [
        rh.Reference(tiny.picture(seed=number, size=(48, 32)), method, resolution="native")
        for number, method in enumerate(methods)
    ]
    return editor.edit(
        pictures[0], "make it blue", references=pictures[1:], steps=2, seed=0, cfg=1.0,
        height=size[0], width=size[1], plugins=plugins,
    ).latents  # fmt: skip


def test_modulated_as_clean_pictures(models):
    """On any checkpoint as 2511 does it, for one reference and for two."""
    plain, zero = models

    for count in (1, 2):
        wanted = edited(zero, ("native",) * count)
        torch.testing.assert_close(edited(plain, ("zero",) * count), wanted, rtol=0, atol=2e-6)
        assert not torch.allclose(edited(plain, ("native",) * count), wanted, atol=1e-4)


def test_each_reference_has_its_own_modulation(models):
    """Four ways for two references, all different; the model is as it was."""
    plain, zero = models
    ways = [(a, b) for a in ("native", "zero") for b in ("native", "zero")]
    before = edited(plain, ("native", "native"))
    made = [edited(plain, way) for way in ways]

    for number, one in enumerate(made):
        assert all(not torch.allclose(one, other, atol=1e-5) for other in made[:number])
    assert torch.equal(edited(plain, ("native", "native")), before)
    assert torch.equal(edited(zero, ("zero", "native")), edited(zero, ("native", "native")))


def test_mixed_modulation_is_what_the_blocks_would_do(models):
    """The index that 2511's blocks get, set by hand for the second reference alone."""
    plain, zero = models
    rows = {"target": 5 * 7, "reference": 6 * 4}

    def index(_module, args, kwargs):
        own = torch.zeros_like(kwargs["modulate_index"])
        own[:, rows["target"] + rows["reference"] :] = 1
        return args, {**kwargs, "modulate_index": own}

    blocks = zero.pipe.transformer.transformer_blocks
    handles = [block.register_forward_pre_hook(index, with_kwargs=True) for block in blocks]
    try:
        wanted = edited(zero, ("native", "native"))
    finally:
        for handle in handles:
            handle.remove()

    torch.testing.assert_close(edited(plain, ("native", "zero")), wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize("options", [{"center": "floor"}, {"text_start": "target"}])
def test_origin_acts_where_the_two_differ(models, options):
    """An odd grid, and a reference larger than the output; elsewhere nothing changes."""
    editor, origin = models[0], rh.plugin("origin", **options)
    size = (40, 56) if "center" in options else (16, 16)  # 5x7 and 2x2 tokens; references 6x4

    assert not torch.allclose(
        edited(editor, size=size), edited(editor, plugins=[origin], size=size), atol=1e-5
    )
    same = edited(editor, size=(64, 64)), edited(editor, plugins=[origin], size=(64, 64))
    torch.testing.assert_close(*same, rtol=0, atol=2e-6)


def test_bad_values():
    """Each is told with what there is."""
    with pytest.raises(rh.InputError, match="origin does nothing; give center='floor' or"):
        rh.plugin("origin")
    with pytest.raises(rh.InputError, match="center"):
        rh.plugin("origin", center="middle")
    with pytest.raises(rh.InputError, match="positions"):
        rh.load_registry().method("default", {"positions": "comfy"})


def test_other_families_refuse_before_anything_is_encoded(monkeypatch):
    """By the name of what they do not know."""
    from refhooks_flux2._tiny import tiny_klein

    editor = rh.Editor(tiny_klein())
    monkeypatch.setattr(type(editor.pipe.text_encoder), "forward", None)
    for options, told in (
        ({"positions": "negative"}, "positions='negative' is not for flux2-klein"),
        ({"modulate": "zero"}, "modulate='zero' is not for flux2-klein"),
    ):
        with pytest.raises(rh.InputError, match=told):
            editor.edit(
                tiny.picture(size=(64, 64)),
                "a",
                steps=1,
                method=rh.load_registry().method("default", options),
            )
    with pytest.raises(rh.InputError, match="center='floor' is not for flux2-klein"):
        editor.edit(
            tiny.picture(size=(64, 64)), "a", steps=1, plugins=[rh.plugin("origin", center="floor")]
        )


def test_from_the_command_line_and_again(tmp_path):
    """An edit with both is replayed to the bit."""
    picture = tmp_path / "photo.png"
    tiny.picture(size=(64, 64)).save(picture)
    out = tmp_path / "out.png"
    done = CliRunner().invoke(main, [
        "edit", str(picture), "make it night", "-o", str(out), "--steps", "2", "--seed", "0",
        "--method", "default", "--option", "positions=comfy-offset", "--option", "modulate=zero",
        "--plugin", "origin:center=floor,text_start=target",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output

    again = tmp_path / "again.png"
    done = CliRunner().invoke(main, ["replay", str(out), "-o", str(again)])
    assert done.exit_code == 0, done.output
    assert "the same picture to the bit" in done.output

"""``resolution="native"``: the source's own size, to the pixel, for everything that lies on it."""

from __future__ import annotations

import warnings

import attrs
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh
from refhooks._base.canvas import Canvas
from refhooks._base.size import Size
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import make_request
from refhooks.batch import Job, edit_batch
from refhooks_qwen21._tiny import tiny_pipeline as tiny_21

SIZES = [(57, 71), (64, 48), (40, 33), (31, 64)]
BOX = (10, 20, 21, 17)  # x, y, width and height, on no edge of a token
KINDS = ["edit", "plus", "21"]
AREA = rh.Checkpoint(output=64 * 64, reference=48 * 48, vision=48 * 48)


@pytest.fixture(scope="module")
def editors():
    """One of each family, and what its VAE is given."""
    made = {}
    for kind in KINDS:
        pipe = tiny_21() if kind == "21" else tiny.build(kind, "middle")
        made[kind] = rh.Editor(pipe, checkpoint=AREA, encodings_mib=0)
    return made


@pytest.fixture
def encoded(editors, monkeypatch):
    """The pictures that each family's VAE is given, ``[3,height,width]``, −1 to 1."""
    seen = {kind: [] for kind in KINDS}
    for kind, editor in editors.items():
        stock = editor.pipe.vae.encode
        monkeypatch.setattr(
            editor.pipe.vae,
            "encode",
            lambda x, *a, kind=kind, stock=stock, **k: (
                seen[kind].append(x[0, :3, 0]),
                stock(x, *a, **k),
            )[1],
        )
    return seen


def edit(editor, source, **options):
    """Two steps at the source's size."""
    call = {"steps": 2, "seed": 1, "resolution": "native", **options}
    return editor.edit(source, call.pop("prompt", "make it blue"), **call)


def values(picture):
    """As the VAE is given them."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_given_the_very_pixels(editors, encoded, kind, size):
    """At the top left of what it works on; beyond them the last row and column are repeated."""
    source = tiny.picture(3, size)

    result = edit(editors[kind], source, denoise=0.5)

    assert [image.size for image in result.images] == [size]
    multiple = editors[kind].family.multiple
    assert len(encoded[kind]) == 2  # as a reference, and to start from
    for pixels in encoded[kind]:
        height, width = pixels.shape[-2:]
        assert (height % multiple, width % multiple) == (0, 0)
        assert (height - size[1] < multiple, width - size[0] < multiple) == (True, True)
        inside = pixels[:, : size[1], : size[0]]
        assert torch.allclose(inside.float(), values(source), atol=1e-5)
        assert (pixels[:, size[1] :] == pixels[:, size[1] - 1 : size[1]]).all()
        assert (pixels[:, :, size[0] :] == pixels[:, :, size[0] - 1 : size[0]]).all()


@pytest.mark.parametrize("written", ["pixels", "percent"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_mask_stays_where_it_was(editors, kind, written):
    """To the pixel: outside of it the output is the source, inside not one pixel is."""
    size = (50, 70)
    source = tiny.picture(4, size)
    box = "10,21,20,28" if written == "pixels" else "20%,30%,40%,40%"

    result = edit(editors[kind], source, edit_mask=box)

    changed = (np.asarray(result.image.convert("RGB")) != np.asarray(source)).any(axis=-1)
    expected = np.zeros((70, 50), bool)
    expected[21:49, 10:30] = True
    assert not changed[~expected].any()
    assert changed[expected].mean() > 0.9


@pytest.mark.parametrize("kind", ["region", "content"])
def test_masks_lie_on_the_canvas_as_on_the_source(editors, kind):
    """What they cover of each token is what they cover of its pixels; at the edges it goes on."""
    source, mask = tiny.picture(5, (57, 71)), rh.mask("40,50,17,21", kind=kind)
    request = make_request(
        rh.Reference(source, rh.Strategy("inject", masks=[mask])),
        "x", steps=2, height=None, width=None, resolution="native",
    )  # fmt: skip
    plan = make_plan(editors["plus"], request)

    [cover] = plan.references[0].masks
    expected = torch.zeros(72, 64)
    expected[50:, 40:] = 1.0
    assert cover.spread.equal(expected)
    assert (plan.size, plan.exact) == (Size(72, 64), Size(71, 57))


def test_a_region_confines_a_method_to_its_pixels(editors):
    """Latents of tokens that the region does not touch stay as without the method."""
    source, editor = tiny.picture(6, (57, 71)), editors["plus"]
    region = rh.Strategy(rh.Stage("inject", 1.0), masks=[rh.mask("0,0,16,24", kind="region")])
    other = tiny.picture(7, (57, 71))

    def latents(strategy):
        off = rh.Stage("default", 0.0)
        references = [rh.Reference(other, strategy)]
        return edit(editor, source, strategy=off, references=references, steps=1 + 1).latents

    steps = [latents(rh.Strategy(rh.Stage("inject", 0.0), vision="always")), latents(region)]
    grid = (steps[0] != steps[1]).any(dim=-1).reshape(9, 8)
    assert grid[:3, :2].all()


def test_a_reference_of_the_sources_size_lies_on_the_same_canvas(editors, encoded):
    """A sketch drawn over it; one of another size has its own size, or its own canvas."""
    source = tiny.picture(0, (57, 71))
    references = [tiny.picture(1, (57, 71)), rh.Reference(tiny.picture(2, (30, 41)), "default")]

    edit(editors["plus"], source, references=references)
    assert [tuple(it.shape[-2:]) for it in encoded["plus"]] == [(72, 64), (72, 64), (64, 32)]

    encoded["plus"].clear()
    native = attrs.evolve(references[1], resolution="native")
    edit(editors["plus"], source, references=[native], resolution=None)
    shapes = [tuple(it.shape[-2:]) for it in encoded["plus"]]
    assert shapes[1] == (48, 32)
    inside = encoded["plus"][1][:, :41, :30]
    assert torch.allclose(inside, values(native.image), atol=1e-5)


@pytest.mark.parametrize("method", ["inject", "concat"])
def test_what_is_fitted_to_the_output_is_not_resized(editors, encoded, method):
    """Methods that lay the reference on the target give the VAE the same pixels."""
    strategy = rh.Stage(rh.method(method, **({"tied": True} if method == "concat" else {})), 0.5)

    edit(editors["plus"], tiny.picture(0, (57, 71)), strategy=strategy)

    source = values(tiny.picture(0, (57, 71)))
    assert encoded["plus"]
    for pixels in encoded["plus"]:
        assert torch.allclose(pixels[:, :71, :57], source, atol=1e-5)


def test_a_size_in_which_the_model_works_is_what_it_was(editors):
    """Nothing is repeated or cut: as with height and width, and a reference of its own size."""
    source = tiny.picture(0, (56, 72))
    native = edit(editors["plus"], source)
    given = edit(
        editors["plus"], rh.Reference(source, resolution="native"),
        resolution=None, height=72, width=56,
    )  # fmt: skip

    assert native.latents.equal(given.latents)


@pytest.mark.parametrize("handover", ["latents", "pixels"])
def test_every_edit_of_a_chain_has_the_pictures_size(editors, handover):
    """Said by the call or by the chain; never by both."""
    source, edits = tiny.picture(0, (57, 71)), [rh.Edit("a"), rh.Edit("b", reference="both")]
    options = {"steps": 2, "seed": 1, "handover": handover}

    called = editors["plus"].chain(source, edits, resolution="native", **options)
    own = editors["plus"].chain(source, rh.Chain(edits, resolution="native"), **options)

    assert [image.size for image in called.images] == [(57, 71)] * 2
    assert called.results[1].latents.equal(own.results[1].latents)
    with pytest.raises(rh.StrategyError, match="leave height out"):
        editors["plus"].chain(source, rh.Chain(edits, resolution=4096), height=64, **options)


def test_a_batch_has_it_too(editors):
    """As the edits one by one."""
    pictures = [tiny.picture(number, (57, 71)) for number in range(2)]
    jobs = [Job(picture, "a", seed) for seed, picture in enumerate(pictures)]

    made = edit_batch(editors["plus"], jobs, steps=2, resolution="native")

    assert [image.size for image in made.images] == [(57, 71)] * 2
    for number, job in enumerate(jobs):
        alone = edit(editors["plus"], job.image, prompt="a", seed=job.seed)
        assert torch.allclose(alone.latents[0], made.latents[number], atol=1e-5)


def test_a_recipe_makes_it_again(editors, tmp_path):
    """To the bit; another size takes its place."""
    tiny.picture(0, (57, 71)).save(tmp_path / "photo.png")
    result = edit(editors["plus"], tmp_path / "photo.png", vision_resolution=64 * 64)
    result.save(tmp_path / "made.png")

    recipe = rh.load_recipe(tmp_path / "made.png")
    assert (recipe.native, recipe.width, recipe.height) == (True, 57, 71)
    assert recipe.vision_resolution == 64 * 64
    again = editors["plus"].replay(tmp_path / "made.png")
    assert np.array_equal(np.asarray(again.image), np.asarray(result.image))
    other = editors["plus"].replay(tmp_path / "made.png", height=64, width=48)
    assert other.image.size == (48, 64)


def test_what_latents_hold_is_cut_alike(editors):
    """For previews, and for the latents of a result."""
    result = edit(editors["plus"], tiny.picture(0, (57, 71)))

    [picture] = editors["plus"].decode(result.latents, height=71, width=57)

    assert np.array_equal(np.asarray(picture), np.asarray(result.image))


@pytest.mark.parametrize(("size", "words"), [((120, 120), "repeated parts"), ((16, 16), "detail")])
def test_a_size_far_from_the_models_warns(editors, size, words):
    """It says how far, and what to expect; it runs."""
    with pytest.warns(rh.RefhooksWarning, match=words):
        assert edit(editors["plus"], tiny.picture(0, size)).image.size == size
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edit(editors["plus"], tiny.picture(0, (64, 64)))


def test_without_a_source_there_is_no_native_size(editors):
    """Refused before anything is encoded; so are other words, and a size beside it."""
    editor = editors["plus"]
    for image, options, words in (
        (None, {}, "needs a source picture"),
        (tiny.picture(), {"height": 64}, "give either resolution, or height and width"),
        (tiny.picture(), {"resolution": "own"}, "must be a pixel area or 'native', got 'own'"),
    ):
        with pytest.raises(rh.InputError, match=words):
            edit(editor, image, **options)
    with pytest.raises(rh.StrategyError, match="a chain's resolution must be"):
        rh.Chain([rh.Edit("a")], resolution="own")


def test_a_canvas_repeats_edges_only():
    """Of pictures in grey and colour, and of covers."""
    canvas = Canvas(Size(4, 5))
    grey = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))

    laid = np.asarray(canvas.lay(grey))

    assert laid.tolist() == [[0, 1, 2, 2, 2]] + [[3, 4, 5, 5, 5]] * 3
    cover = canvas.spread(torch.from_numpy(np.array(grey)).float())
    assert cover.tolist() == laid.tolist()
    assert canvas.lay(grey.convert("RGBA")).getpixel((4, 3)) == (5, 5, 5, 255)


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_encoder_sees_the_size_that_is_said(editors, monkeypatch, kind):
    """For the families that show it pictures; without it, the checkpoint's."""
    editor, seen = editors[kind], []
    stock = editor.pipe.image_processor.resize
    monkeypatch.setattr(
        editor.pipe.image_processor, "resize",
        lambda *a, **k: (made := stock(*a, **k), seen.append(getattr(made, "size", None)))[0],
    )  # fmt: skip

    for area in (None, 96 * 96):
        seen.clear()
        edit(editor, tiny.picture(0, (64, 64)), vision_resolution=area)
        expected = editor.family.size_of(area or 48 * 48, 1.0)
        assert (expected.width, expected.height) in seen


def test_a_size_that_nobody_would_see_is_refused(editors):
    """No picture is shown, it is none, or the family shows none."""
    editor, source = editors["plus"], tiny.picture()
    never = rh.Strategy("default", vision="never")
    with pytest.warns(rh.RefhooksWarning, match="vision_resolution does nothing"):
        edit(editor, source, strategy=never, vision_resolution=4096)
    for value in (0, True, 1.5, "native"):
        with pytest.raises(rh.InputError, match="vision_resolution must be a whole number"):
            edit(editor, source, vision_resolution=value)
    blind = type("Blind", (type(editor.family),), {"takes_vision_area": False})
    other = rh.Editor(editor.pipe, checkpoint=AREA)
    other.family = blind(editor.pipe, AREA)
    with pytest.raises(rh.InputError, match="has no vision_resolution; leave it out"):
        edit(other, source, vision_resolution=4096)

"""What a strategy costs, from the number of operations, against numbers worked out by hand."""

from __future__ import annotations

import attrs
import pytest
import tiny
import torch
from diffusers import QwenImageTransformer2DModel

import refhooks as rh

GIB = 2**30


@pytest.fixture(scope="module")
def full():
    """Qwen-Image-Edit at full size and 1 MP."""
    return rh.load_registry().families["qwen-image-edit-plus"].shape(None)


def references(count, strategy=None):
    """So many references with one strategy."""
    return [rh.Reference("", strategy)] * count


@attrs.frozen
class Stranger:
    """A method that foresees whatever it is told to."""

    name = "stranger"
    foresees: rh.Outlook

    def bind(self, reference, run):
        raise NotImplementedError

    def outlook(self, planned):
        return self.foresees


@pytest.mark.parametrize(
    ("count", "tflop", "limit"), [(1, 174, 2.22), (2, 295, 3.76), (3, 440, 5.62)]
)
def test_a_forward_pass_of_the_full_model(full, count, tflop, limit):
    """TFLOP with 1 to 3 references at 1 MP, and how much faster it is without their tokens."""
    native = rh.cost(references(count), 28, shape=full, cfg=1.0)
    dropped = rh.cost(references(count, "inject"), 28, shape=full, cfg=1.0)

    assert tflop == round(native.steps[0] / 1e12)
    assert native.over_native == 1.0
    assert round(dropped.steps[0] / 1e12) == 78
    assert 1 / dropped.over_native == pytest.approx(limit, abs=0.01)
    assert dropped.over_bare == 1.0


@pytest.mark.parametrize(
    ("every", "faster"), [(1, 1.00), (2, 1.31), (4, 1.55), (8, 1.70), (40, 1.85)]
)
def test_reused_keys_and_values(full, every, faster):
    """One reference over 40 steps, its keys and values stored anew at every k-th."""
    reused = tuple(step for step in range(40) if step % every)
    found = rh.cost(Stranger(rh.Outlook(reused=reused)), 40, shape=full, cfg=1.0)

    assert faster == round(1 / found.over_native, 2)
    assert (2.81 if reused else 0.0) == round(found.kept_bytes / GIB, 2)


@pytest.mark.parametrize(
    ("count", "tflop", "limit"), [(1, 92, 1.89), (2, 106, 2.78), (3, 120, 3.67)]
)
def test_a_step_that_reuses(full, count, tflop, limit):
    """TFLOP where no reference gives tokens, and all are attended to."""
    again = Stranger(rh.Outlook(reused=(1,)))
    found = rh.cost(references(count, again), 2, shape=full, cfg=1.0)

    assert tflop == round(found.steps[1] / 1e12)
    assert found.native / found.steps[1] == pytest.approx(limit, abs=0.01)


@pytest.mark.parametrize(("kept", "faster"), [(0.75, 1.18), (0.5, 1.41), (0.25, 1.74), (0.1, 2.01)])
def test_a_method_that_gives_some_tokens(full, kept, faster):
    """A stranger's method says what share of the tokens it gives."""
    found = rh.cost(Stranger(rh.Outlook(tokens=(kept,) * 4)), 4, shape=full, cfg=1.0)

    assert faster == round(1 / found.over_native, 2)


@pytest.mark.parametrize(("height", "faster"), [(0.75, 1.18), (0.5, 1.41), (0.25, 1.74)])
def test_a_content_mask_drops_tokens(full, height, faster):
    """The covered share of the picture is what is left of its tokens."""
    box = rh.mask(f"0%,0%,100%,{height:.0%}", kind="content")
    strategy = rh.Strategy("default", masks=[box])

    assert faster == round(1 / rh.cost(strategy, 4, shape=full, cfg=1.0).over_native, 2)


def test_a_soft_content_mask_drops_none(full):
    """It scales them."""
    box = rh.mask("0%,0%,100%,50%", kind="content", soft=True)

    assert rh.cost(rh.Strategy("default", masks=[box]), 4, shape=full).over_native == 1.0


def test_strength_0_costs_what_no_reference_does(full):
    """At the steps where it is 0, and only there."""
    found = rh.cost(rh.Stage("cross_attn", [0.0, 0.0, 0.5, 1.0]), 4, shape=full)

    assert (found.bare, found.bare, found.native, found.native) == found.steps


def test_a_switch_to_a_method_without_tokens(full):
    """Each stage costs its own."""
    strategy = rh.Strategy([rh.Stage("default", until=0.5), rh.Stage("inject")])
    found = rh.cost(strategy, 4, shape=full)

    assert (found.native, found.native, found.bare, found.bare) == found.steps
    assert "steps 1-2: 348 TFLOP each, 1.00\nsteps 3-4: 157 TFLOP each, 0.45" in str(found)


def test_image_guidance_adds_a_pass_without_the_reference(full):
    """Also beside a second reference, whose tokens are in that pass too; at 1 there is none."""
    alone = rh.cost(rh.Stage("guidance", [1.0, 1.5]), 2, shape=full)
    both = rh.cost([rh.Reference("", rh.Stage("guidance", 1.5)), rh.Reference("")], 2, shape=full)

    one = full.flops(512 + 4096 + 4096, 512 + 4096 + 4096)
    assert (2 * one, 2 * one + alone.bare / 2) == alone.steps
    assert both.native + one == both.steps[0]


def test_guidance_of_the_model_doubles_it(full):
    """Two passes by default, one with cfg = 1; a ratio does not change."""
    two, one = (rh.cost("inject", 3, shape=full, cfg=cfg) for cfg in (4.0, 1.0))

    assert (two.passes, one.passes) == (2, 1)
    assert 2 * one.flops == two.flops
    assert one.over_native == two.over_native


def test_a_batch_multiplies(full):
    """Operations and kept keys, not weights."""
    again = Stranger(rh.Outlook(reused=(1,)))
    one, four = (rh.cost(again, 2, shape=full, batch=batch) for batch in (1, 4))

    assert 4 * one.flops == four.flops
    assert 4 * one.kept_bytes == four.kept_bytes


def test_the_output_and_the_references_have_their_own_sizes(full):
    """Half the height is half the tokens; a resolution is that reference's."""
    strategy = [rh.Reference("", resolution=512 * 512)]
    found = rh.cost(strategy, 2, shape=full, cfg=1.0, height=512, width=1024)

    assert full.flops(2048 + 512 + 1024, 2048 + 512 + 1024) == found.native


def test_without_a_model_it_is_that_of_a_full_size_one(full):
    """The cost says whose."""
    found = rh.cost("inject", 4)

    assert attrs.evolve(full) == found.shape
    assert "cost on Qwen-Image-Edit at full size and 1 MP: 60 blocks of width 3072" in str(found)


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_number_of_weights_is_that_of_the_real_class(full, blocks):
    """To the weight; 20.4 billion at full size."""
    config = {"num_layers": blocks, "num_attention_heads": 3, "attention_head_dim": 16}
    with torch.device("meta"):
        model = QwenImageTransformer2DModel(**config, axes_dims_rope=(4, 6, 6), in_channels=16,
                                            out_channels=4, joint_attention_dim=32)  # fmt: skip
    family = rh.load_registry().families["qwen-image-edit"]

    assert sum(weight.numel() for weight in model.parameters()) == (
        family.shape(model.config).parameters
    )
    assert round(full.parameters / 1e9, 1) == 20.4


@pytest.fixture
def editor(pipe):
    """An editor at 64x64, whose wide reference has another number of tokens."""
    area = tiny.AREA
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))


def test_an_editors_model_and_pictures(editor):
    """Its blocks and weights; tokens of its own sizes, and of a picture's own shape."""
    wide = tiny.picture(size=(64, 32))
    found = rh.cost([rh.Reference(wide)], 2, editor=editor, cfg=1.0)

    shape = found.shape
    weights = sum(weight.numel() for weight in editor.pipe.transformer.parameters())
    rows, columns = editor.family.grid(editor.family.reference_size(wide, None))
    whole = shape.target + shape.text + rows * columns
    assert (shape.blocks, shape.width, shape.dtype) == (2, 32, "float32")
    assert (shape.target, shape.reference) == (64, 64)
    assert shape.weight_bytes == 4 * weights
    assert found.native == shape.flops(whole, whole)


@pytest.mark.parametrize(
    "outlook",
    [rh.Outlook(tokens=(1.0,)), rh.Outlook(tokens=(0.5, 2.0)), rh.Outlook(added=((0, -1.0),))],
)
def test_an_outlook_that_makes_no_sense(full, outlook):
    """The error names the stage and its method."""
    with pytest.raises(rh.PluginError, match=r"reference 1, stage 1 \(method 'stranger'\)"):
        rh.cost(Stranger(outlook), 2, shape=full)


def test_a_registry_without_sizes(monkeypatch):
    """A cost needs a model's size, and says so."""
    families = rh.load_registry().families
    for name, entry in families.items():
        monkeypatch.setitem(families, name, attrs.evolve(entry, shape=None))

    with pytest.raises(rh.InputError, match="no family states the size of its model"):
        rh.cost("inject", 4)


def test_what_is_planned_is_what_runs(pipe, editor):
    """The tokens that a cost reckons with are those that the transformer is given."""
    seen = []
    handle = pipe.transformer.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["hidden_states"].shape[1]), with_kwargs=True
    )
    masked = rh.Strategy(
        [rh.Stage("default", until=0.5), rh.Stage("inject")],
        masks=[rh.mask("0%,0%,100%,50%", kind="content")],
    )
    second = rh.Reference(tiny.picture(1), rh.Stage("cross_attn", [0.5, 0.0, 1.0, 0.0]))
    first = rh.Reference(tiny.picture(), masked)

    editor.edit(first, "make it blue", references=[second], steps=4, cfg=1.0)
    handle.remove()

    found = rh.cost([first, second], 4, editor=editor, cfg=1.0)
    text = found.shape.text
    assert len(set(seen)) == 4
    assert found.steps == tuple(found.shape.flops(each + text, each + text) for each in seen)

"""The attention hook in a run: what it changes, what it leaves, how it composes."""

from __future__ import annotations

import attrs
import pytest
import tiny
import torch
from diffusers.models.attention_dispatch import AttentionBackendName
from diffusers.models.transformers.transformer_qwenimage import QwenDoubleStreamAttnProcessor2_0
from sized import ARGS, PROMPT, editor_for

import refhooks as rh


def processors(pipe):
    """The attention processors, in order."""
    return [block.attn.processor for block in pipe.transformer.transformer_blocks]


class Edits:
    """A plugin of the call that returns the same edits at every step."""

    def __init__(self, *edits):
        self.edits = list(edits)

    @rh.hookimpl
    def refhooks_attention(self, layout):
        return self.edits


def gain(editor, strength, method="cross_attn", **options):
    """Latents at a strength, the text encoder always shown the picture."""
    stage = rh.Stage(rh.method(method, **options), strength)
    strategy = rh.Strategy([stage], vision="always")
    return editor.edit(tiny.picture(), PROMPT, strategy=strategy, **ARGS).latents


def test_bias_moves_smoothly_from_none_to_native_to_more(editor):
    """Distance to native falls up to 1 and rises above; to none it rises all the way."""
    none, native = gain(editor, 0.0), editor.edit(tiny.picture(), PROMPT, **ARGS).latents
    strengths = [1e-4, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.3, 1.5]
    runs = [gain(editor, strength) for strength in strengths]

    to_native = [(run - native).norm().item() for run in runs]
    from_none = [(run - none).norm().item() for run in runs]

    assert to_native[6] == 0.0
    assert to_native[:7] == sorted(to_native[:7], reverse=True)
    assert to_native[6:] == sorted(to_native[6:])
    assert from_none == sorted(from_none)
    assert from_none[0] < 0.01 * from_none[6]


def test_at_1_the_stock_pipeline_to_the_bit(editor):
    """Where nothing is edited the stock processor runs."""
    assert torch.equal(gain(editor, 1.0), editor.edit(tiny.picture(), PROMPT, **ARGS).latents)


def test_differs_from_default(editor):
    """A weight on attention is not a scale on latents."""
    assert not torch.allclose(gain(editor, 0.5), gain(editor, 0.5, "default"), atol=1e-4)


def test_the_guides_keys_are_not_off_at_small_strengths(editor):
    """K·s leaves the reference attended near 0; the bias does not."""
    none = gain(editor, 0.0)

    keys = (gain(editor, 0.001, gain="keys") - none).norm()
    bias = (gain(editor, 0.001) - none).norm()

    assert bias < 0.05 * keys


def test_layers(editor):
    """All blocks is no restriction; a list of ones neither; none of them is absence."""
    native = editor.edit(tiny.picture(), PROMPT, **ARGS).latents

    assert torch.equal(gain(editor, 1.0, layers="0-1"), native)
    assert torch.equal(gain(editor, 1.0, layers=[1.0, 1.0]), native)
    assert not torch.allclose(gain(editor, 1.0, layers="1-1"), native, atol=1e-4)
    other = rh.Strategy([rh.Stage(rh.method("cross_attn", layers=[0.0, 0.0]))], vision="never")
    runs = [
        editor.edit(tiny.picture(seed), PROMPT, strategy=other, **ARGS).latents for seed in (0, 1)
    ]
    assert torch.equal(*runs)


@pytest.mark.parametrize(
    ("layers", "message"),
    [("0-2", "2 blocks"), ("1-0", "2 blocks"), ([1.0] * 3, "lists 3 weights")],
)
def test_layers_beyond_the_model_are_refused(pipe, layers, message):
    """Found when the method is bound, before the transformer runs."""
    calls = []
    handle = pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(rh.InputError, match=message):
        gain(editor_for(pipe), 1.0, layers=layers)
    handle.remove()
    assert calls == []


@pytest.mark.parametrize("layers", ["10", "a-b", [], [3.0], [-1.0], 4])
def test_layers_that_make_no_sense(layers):
    """The option says what it takes."""
    with pytest.raises(rh.InputError, match="layers must be a range such as '10-20'"):
        rh.method("cross_attn", layers=layers)


def test_padded_text(pipe):
    """Two prompts of different length: each picture equals the one made alone."""
    prompts = ["make it blue", "explain the texture of the background"]
    strategy = rh.Stage("cross_attn", 0.6)
    together = editor_for(pipe).edit(tiny.picture(), prompts, strategy=strategy, **ARGS).latents

    for number, prompt in enumerate(prompts):
        alone = editor_for(pipe).edit(tiny.picture(), prompt, strategy=strategy, **ARGS).latents
        torch.testing.assert_close(together[number], alone[0], atol=2e-4, rtol=0)


def test_recording_changes_nothing_to_the_bit(editor):
    """Stock and merged steps alike; the shares are those of every step and block."""
    strategy = rh.Stage("cross_attn", [1.0, 0.5, 0.0])
    arguments = {"strategy": strategy, "references": [tiny.picture(1)], **ARGS}

    plain = editor.edit(tiny.picture(), PROMPT, **arguments)
    recorded = editor.edit(tiny.picture(), PROMPT, record_attention=True, **arguments)

    assert plain.attention_share is None
    assert torch.equal(plain.latents, recorded.latents)
    share = recorded.attention_share
    assert share.shape == (3, 2, 3)
    torch.testing.assert_close(share.sum(-1), torch.ones(3, 2))
    assert (share[0, :, 1] > share[1, :, 1]).all()
    assert (share[2, :, 1] == 0).all()
    assert (share[2, :, 2] > 0).all()


def test_processors_are_put_on_only_when_needed(pipe):
    """Default and inject leave the stock processors in place; cross_attn puts its own on."""
    stock = processors(pipe)
    seen = {}
    for method in ("default", "inject", "cross_attn"):
        editor_for(pipe).edit(
            tiny.picture(), PROMPT, strategy=rh.Stage(method, 0.5), **ARGS,
            callback=lambda *_, name=method: seen.setdefault(name, processors(pipe)),
        )  # fmt: skip

    assert seen["default"] == seen["inject"] == stock
    assert all(ours is not theirs for ours, theirs in zip(seen["cross_attn"], stock, strict=True))
    assert processors(pipe) == stock


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_faults(pipe, error, step):
    """An error at the attention hook leaves the model as it was, and says whose it is."""

    class Fails:
        @rh.hookimpl
        def refhooks_attention(self, ctx):
            if ctx.step.index == step:
                raise error("broken")

    arguments = {"strategy": rh.Stage("cross_attn", 0.5), **ARGS}
    stock, hooks = processors(pipe), dict(pipe.transformer.pos_embed._forward_hooks)
    before = editor_for(pipe).edit(tiny.picture(), PROMPT, **arguments).latents

    with pytest.raises(error) as caught:
        editor_for(pipe).edit(tiny.picture(), PROMPT, plugins=[Fails()], **arguments)

    assert (
        f"Fails of the call, refhooks_attention, step {step + 1} of 3" in caught.value.__notes__[0]
    )
    assert processors(pipe) == stock
    assert dict(pipe.transformer.pos_embed._forward_hooks) == hooks
    after = editor_for(pipe).edit(tiny.picture(), PROMPT, **arguments).latents
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("nonsense", "must return a list of refhooks.AttentionEdit"),
        (rh.AttentionEdit(3, torch.tensor(1.0)), "group must be 'base' or a slot from 0 to 0"),
        (rh.AttentionEdit(0, torch.tensor(1)), "weight must be floating point"),
        (rh.AttentionEdit(0, 0.5), "weight must be a tensor, got float"),
        (rh.AttentionEdit(0, torch.ones(5)), r"weight must be 0-d, \[2\] for each block"),
        (rh.AttentionEdit(0, key_scale=torch.ones(3, 4)), "key_scale must be 0-d"),
        (rh.AttentionEdit(0, value_scale=torch.ones(3, 4)), "value_scale must be 0-d"),
        (rh.AttentionEdit(0, separate=True), "a separate group must be a slot, and have a weight"),
    ],
)
def test_bad_returns(editor, edit, message):
    """Each names the plugin, the hook and the step."""
    with pytest.raises(rh.HookReturnError, match=message) as caught:
        editor.edit(tiny.picture(), PROMPT, plugins=[Edits(edit)], **ARGS)
    assert "plugin Edits of the call, refhooks_attention, step 1 of 3" in str(caught.value)


def test_nan_weights_are_found_eagerly(editor):
    """check="eager" looks at weights too."""
    edit = rh.AttentionEdit(0, torch.tensor(float("nan")))
    with pytest.raises(rh.NotFiniteError, match="Edits of the call, refhooks_attention"):
        editor.edit(tiny.picture(), PROMPT, plugins=[Edits(edit)], check="eager", **ARGS)


def test_an_edit_of_an_empty_slot_is_refused(editor):
    """Nothing fills the slot where the method drops its tokens."""
    with pytest.raises(rh.HookReturnError, match="slot 0 is empty, so there are no keys to edit"):
        editor.edit(
            tiny.picture(), PROMPT, strategy="inject",
            plugins=[Edits(rh.AttentionEdit(0, torch.tensor(0.5)))], **ARGS,
        )  # fmt: skip


def test_two_loads_are_refused_before_the_transformer_runs(pipe):
    """An error before step 0."""
    calls = []
    handle = pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    buffers = torch.zeros(2, 1, 64, 2, 16)
    edit = rh.AttentionEdit(0, load=rh.KeyValues(buffers, buffers))
    with pytest.raises(
        rh.PluginError, match="loads keys and values for group 0, and so does plugin Edits"
    ):
        editor_for(pipe).edit(tiny.picture(), PROMPT, plugins=[Edits(edit), Edits(edit)], **ARGS)
    handle.remove()
    assert calls == []


def test_two_loads_of_one_plugin_are_refused(editor):
    """In one return; its place is named."""
    buffers = torch.zeros(2, 1, 64, 2, 16)
    load = rh.AttentionEdit(0, load=rh.KeyValues(buffers, buffers))

    class Twice:
        @rh.hookimpl
        def refhooks_attention(self):
            return [load, load]

    with pytest.raises(rh.PluginError, match=r"Twice of the call.* for group 0, twice; only one"):
        editor.edit(tiny.picture(), PROMPT, plugins=[Twice()], **ARGS)


def test_the_models_own_balance_needs_no_other_attention(editor):
    """At strength 1 every processor may be one of the user's own, as with ``default``."""

    class Own(QwenDoubleStreamAttnProcessor2_0):
        """Somebody's."""

    transformer = editor.pipe.transformer
    stock = transformer.attn_processors
    expected = editor.edit(tiny.picture(), PROMPT, **ARGS).latents
    transformer.set_attn_processor(Own())
    try:
        found = editor.edit(tiny.picture(), PROMPT, strategy="cross_attn", **ARGS).latents
        with pytest.raises(rh.InputError, match="has the attention processor Own"):
            editor.edit(tiny.picture(), PROMPT, strategy=rh.Stage("cross_attn", 0.5), **ARGS)
    finally:
        transformer.set_attn_processor(stock)

    assert torch.equal(found, expected)


def test_edits_of_two_plugins_multiply(editor):
    """0.5 by one and 0.6 by another is 0.3."""
    half, more = (Edits(rh.AttentionEdit(0, torch.tensor(w))) for w in (0.5, 0.6))

    both = editor.edit(tiny.picture(), PROMPT, plugins=[half, more], **ARGS).latents

    torch.testing.assert_close(both, gain(editor, 0.3), atol=1e-5, rtol=0)


def test_store_then_load(editor):
    """A reference whose keys and values are loaded needs no tokens of its own."""
    stores = {}

    class Store:
        @rh.hookimpl
        def refhooks_attention(self, ctx, branch, layout):
            own = layout.slots[0]
            shape = (ctx.blocks, 1, own.stop - own.start, 2, 16)
            buffers = rh.KeyValues(torch.zeros(shape), torch.zeros(shape))
            stores[ctx.step.index, branch.name] = buffers
            return [rh.AttentionEdit(0, store=buffers)]

    class Load:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, inputs):
            return inputs.fill(0, None)

        @rh.hookimpl
        def refhooks_attention(self, ctx, branch):
            return [rh.AttentionEdit(0, load=stores[ctx.step.index, branch.name])]

    native = editor.edit(tiny.picture(), PROMPT, plugins=[Store()], **ARGS).latents
    loaded = editor.edit(tiny.picture(), PROMPT, plugins=[Load()], **ARGS).latents

    torch.testing.assert_close(loaded, native, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", [AttentionBackendName.SAGE, AttentionBackendName._NATIVE_CUDNN])
def test_a_backend_that_is_not_used_warns_once(backend):
    """Steps that edit attention use torch's kernels then; the backend is carried along."""
    pipe = tiny.build("plus", "middle")
    for processor in processors(pipe):
        processor._attention_backend = backend
    strategy = rh.Strategy([rh.Stage("cross_attn", 0.5)])
    seen = []

    with pytest.warns(rh.RefhooksWarning, match=f"'{backend.value}' is not used") as caught:
        result = editor_for(pipe).edit(
            tiny.picture(), PROMPT, strategy=strategy, **ARGS,
            callback=lambda *_: seen.extend(processors(pipe)),
        )  # fmt: skip

    assert len(caught) == 1
    assert {processor._attention_backend for processor in seen} == {backend}
    expected = gain(editor_for(tiny.build("plus", "middle")), 0.5)
    assert torch.equal(result.latents, expected)


def test_parallel_and_foreign_processors_are_refused():
    """Where attention cannot be edited, the error says what can be done."""
    pipe = tiny.build("plus", "small")
    processors(pipe)[0]._parallel_config = object()
    with pytest.raises(rh.InputError, match="in parallel over several devices"):
        gain(editor_for(pipe), 0.5)

    class Foreign(QwenDoubleStreamAttnProcessor2_0):
        pass

    foreign = Foreign()
    pipe.transformer.transformer_blocks[0].attn.set_processor(foreign)
    with pytest.raises(rh.InputError, match="attention processor Foreign"):
        gain(editor_for(pipe), 0.5)
    assert processors(pipe) == [foreign]


def test_a_plugin_scales_keys_in_some_blocks_for_half_a_run():
    """The whole of a stranger's method: one reference's keys, some blocks, the first half."""

    @attrs.frozen
    class SharpKeys:
        name = "sharp-keys"
        first: int = 1
        last: int = 1

        def bind(self, reference, run):
            inside = [self.first <= block <= self.last for block in range(run.blocks)]
            return Bound(reference, torch.tensor(inside).unsqueeze(1))  # [blocks,1]

    class Bound:
        def __init__(self, reference, inside):
            self.reference, self.inside = reference, inside

        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            return inputs.fill(self.reference.index, rh.Tokens(self.reference.latents))

        @rh.hookimpl
        def refhooks_attention(self, ctx):
            if ctx.step.progress >= 0.5:
                return None
            strength = ctx.rows[self.reference.index].strength
            scale = torch.where(self.inside, strength, 1.0)
            return [rh.AttentionEdit(self.reference.index, key_scale=scale)]

    pipe = tiny.build("plus", "large")
    editor = editor_for(pipe)
    native = editor.edit(tiny.picture(), PROMPT, **ARGS, record_attention=True)

    sharp = editor.edit(
        tiny.picture(), PROMPT, strategy=rh.Stage(SharpKeys(), 1.4), **ARGS, record_attention=True
    )

    changed = (sharp.attention_share - native.attention_share).abs().sum(-1) > 1e-6
    assert changed[0].tolist() == [False, True, True]
    assert not torch.equal(native.latents, sharp.latents)
    only = rh.Stage(SharpKeys(), 1.0)
    torch.testing.assert_close(
        editor.edit(tiny.picture(), PROMPT, strategy=only, **ARGS).latents, native.latents,
        atol=1e-5, rtol=0,
    )  # fmt: skip

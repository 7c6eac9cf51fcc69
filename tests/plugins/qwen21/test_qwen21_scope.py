"""``cross_attn(scope="all")``: strength also acts on what text and later references see."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.transformers import transformer_qwenimage21 as stock
from small21 import Small, rgb

import refhooks as rh
from refhooks import testing
from refhooks.attention import combine

ODD = rh.mask(box="0,0,30%,30%", kind="content")
PADDED = ["make it blue", "b"]


def region(text):
    """A region mask of the left half."""
    return rh.mask(box="0,0,50%,100%", kind="region", text=text)


def strategy(strength, *, scope="all", masks=(), **options):
    """Of one reference, which the text encoder is shown at every strength."""
    stage = rh.Stage(rh.method("cross_attn", scope=scope, **options), strength)
    return rh.Strategy([stage], masks=list(masks), vision="always")


def edit(small, one, other=None, **options):
    """Edit with two references, each with its own strategy."""
    pictures = rgb(2)
    second = rh.Reference(pictures[1], other)
    prompt = options.pop("prompt", "make it blue")
    return small.edit(pictures[:1], prompt, strategy=one, references=[second], **options)


def distance(one, other):
    """The largest difference of final latents."""
    return float((one.latents - other.latents).abs().max())


class Dense:
    """Attention of one block as one matrix: who sees whom, and a bias of log w."""

    _attention_backend = None
    _parallel_config = None

    def __init__(self, weigh):
        self._weigh = weigh

    def __call__(
        self, attn, hidden_states, attention_mask=None, rotary_emb=None, layer_cache=None,
        kv_cache_mode=None, cache_write_slice=None, segments=None, key_valid=None,
    ):  # fmt: skip
        query, keys, values, length = stock._qwenimage21_prepare_qkv(
            attn, hidden_states, rotary_emb, layer_cache, kv_cache_mode, cache_write_slice
        )
        rows = [*segments, (segments[-1][1], length, False)]
        weight = torch.ones(length, length).tril()
        for start, stop, is_text in rows:
            if not is_text:
                weight[start:stop, start:stop] = 1.0
        self._weigh(weight, rows)
        logits = torch.einsum("blhd,bkhd->bhlk", query, keys) * query.shape[-1] ** -0.5
        share = torch.softmax(logits + weight.log(), dim=-1)
        joint = torch.einsum("bhlk,bkhd->blhd", share, values).flatten(2, 3)
        return attn.to_out[1](attn.to_out[0](joint))


def dense(small, weigh):
    """One step of the stock pipeline with dense attention; the latents."""
    blocks = small.pipe.transformer.transformer_blocks
    own = [block.attn.processor for block in blocks]
    for block in blocks:
        block.attn.set_processor(Dense(weigh))
    try:
        return small.stock(rgb(2), num_inference_steps=1)[0]
    finally:
        for block, processor in zip(blocks, own, strict=True):
            block.attn.set_processor(processor)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("text", [None, "none", "area", "full"])
@pytest.mark.parametrize("strength", [0.3, 1.4])
def test_it_is_one_matrix_of_logits_with_a_bias(small, place, text, strength):
    """Of every query but the reference's own, and by the region's rules where it has one."""

    def weigh(weight, rows):
        pictures = [(start, stop) for start, stop, is_text in rows if not is_text]
        start, stop = pictures[place]
        weight[stop:, start:stop] *= strength
        if text is None:
            return
        share = {"none": 0.0, "area": 0.5, "full": 1.0}[text]
        for begin, end, is_text in rows[:-1]:
            if begin >= stop:
                weight[begin:end, start:stop] *= share if is_text else 0.0
        left = torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat(4)  # of four columns
        weight[pictures[-1][0] :, start:stop] *= left[:, None]

    own = strategy(strength, masks=[] if text is None else [region(text)])
    both = (own, None) if place == 0 else (None, own)

    assert torch.allclose(
        edit(small, *both, steps=1).latents, dense(small, weigh), atol=2e-6, rtol=0
    )


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("masks", [[], [ODD]])
def test_towards_0_it_is_the_reference_left_out(small, place, masks):
    """At a step at which the text has its place all the same; without it, what text saw stays."""

    def two(scope, first):
        own = strategy([first, 0.5], scope=scope, masks=masks)
        both = (own, None) if place == 0 else (None, own)
        return edit(small, *both, prompt=PADDED, steps=2)

    left, gone, stays = two("all", 0.0), two("all", 1e-30), two("auto", 1e-30)

    assert distance(left, gone) < 3e-6
    assert distance(left, stays) > 3e-5


def test_1_is_stock(small):
    """To the bit, with guidance, also where other steps are weighed."""
    native = edit(small, strategy(1.0), cfg=3.0)

    assert torch.equal(native.latents, small.stock(rgb(2), cfg=3.0)[0])
    last = [strategy([0.5, 1.0], scope=scope) for scope in ("all", "auto")]
    assert distance(*(edit(small, each, steps=2) for each in last)) > 1e-4


class AtOne:
    """Weighs every group by 1, for text and references too; leaves out no token."""

    def __init__(self, dropping):
        self._dropping = dropping
        self._one = torch.ones(())

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        if not self._dropping:
            return None
        tokens = inputs.slots[0]
        self._keep = getattr(self, "_keep", torch.arange(1, tokens.latents.shape[1]))
        return inputs.fill(0, rh.Tokens(tokens.latents, keep=self._keep))

    @rh.hookimpl
    def refhooks_attention(self):
        return [rh.AttentionEdit(group, self._one, prefix=True) for group in ("base", 0, 1)]


class Drops(AtOne):
    """The same tokens, and no weights."""

    refhooks_attention = None


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("prompt", ["make it blue", PADDED])
def test_weights_of_1_change_nothing(small, dropping, prompt):
    """Our own way through the prefix, with padded prompts and rows that only fill up."""
    plain = [Drops(True)] if dropping else []

    weighed, other = (
        small.edit(rgb(2), prompt, plugins=plugins) for plugins in ([AtOne(dropping)], plain)
    )

    assert 0.0 < distance(weighed, other) < 1e-5


@pytest.mark.parametrize(
    ("strength", "times"),
    [("0.4:0.9", 4), (0.5, 1), (1.0, 1), ([0.3, 0.6, 0.3, 0.6], 2), ([0.3, 1.0, 1.0, 0.3], 2)],
)
def test_the_prefix_is_computed_once_for_each_strength(small, prefixes, strength, times):
    """And a plan says how often; with ``auto`` it is computed once."""
    edit(small, strategy(strength), steps=4, cfg=3.0)
    edit(small, strategy(strength, scope="auto"), steps=4, cfg=3.0)

    assert prefixes == [{"cond": times, "uncond": times}, {"cond": 1, "uncond": 1}]


def test_a_plan_says_so(small):
    """In words, and in what it costs: as much as `default`, which has it computed anew as well."""
    timetable = rh.plan([rh.Reference(rgb(1)[0], strategy("0.4:0.9"))], 4, editor=small.editor)
    costs = [
        rh.cost(each, 16, editor=small.editor).flops
        for each in (
            rh.Stage("default", "0.4:0.9"),
            rh.Stage(rh.method("cross_attn", scope="all"), "0.4:0.9"),
            rh.Stage("cross_attn", "0.4:0.9"),
        )
    ]

    assert any("anew where it changes, 4 times a pass at most" in it for it in timetable.remarks)
    assert costs[0] == costs[1] > costs[2]


@pytest.mark.parametrize(
    "options", [{"gain": "keys"}, {"softmax": "separate"}, {"layers": [0.5, 1.0]}, {}]
)
def test_every_option_acts(small, options):
    """On what the text sees, too; shares are recorded as ever."""
    result, target = (
        edit(small, strategy(0.6, scope=scope, **options), record_attention=True)
        for scope in ("all", "auto")
    )

    assert torch.isfinite(result.latents).all()
    assert distance(result, target) > 1e-4
    assert torch.allclose(result.attention_shares.sum(2), torch.ones(3, 2, 1), atol=1e-5)


def test_the_distance_from_0_grows_with_strength(small):
    """Over .25, .5, 1, 1.5 and 2, in one step."""
    near, *steps = (
        edit(small, strategy(strength), steps=1) for strength in (1e-6, 0.25, 0.5, 1.0, 1.4, 1.5)
    )
    grown = [float((step.latents - near.latents).norm()) for step in steps]

    assert grown == sorted(grown)


@pytest.mark.parametrize("place", [0, 1])
def test_reuse_beside_it_is_refused(small, monkeypatch, place):
    """Of its own or another reference: what is kept would not be what is computed anew."""
    monkeypatch.setattr(small.pipe.text_encoder, "forward", lambda **_: pytest.fail("encoded"))
    own = strategy(0.5, reuse="once") if place == 0 else strategy(0.5)
    other = None if place == 0 else rh.Stage(rh.method("cross_attn", reuse="once"), 0.7)

    with pytest.raises(rh.InputError, match="so no reference's keys and values can be reused"):
        edit(small, own, other)


def test_keys_that_a_plugin_loads_beside_it_are_refused(small):
    """There is no outlook that could say so beforehand."""

    class Loads:
        @rh.hookimpl
        def refhooks_attention(self, layout):
            own = layout.slots[1]
            shape = (2, 1, own.stop - own.start, 2, 16)
            return [rh.AttentionEdit(1, load=rh.KeyValues(torch.zeros(shape), torch.zeros(shape)))]

    with pytest.raises(rh.PluginError, match="cannot be loaded at a step at which an edit"):
        edit(small, strategy(0.5), plugins=[Loads()])


def test_only_edits_that_say_so_act_on_the_prefix():
    """They are combined apart from the others of their group."""
    layout = rh.Layout(text=slice(0, 2), target=slice(2, 4), slots=(slice(4, 6),), length=6)
    half, third = torch.tensor(0.5), torch.tensor(0.25)

    (both,) = combine([rh.AttentionEdit(0, half, prefix=True), rh.AttentionEdit(0, third)], layout)
    (alone,) = combine([rh.AttentionEdit(0, third)], layout)

    assert both.weight[0].tolist() == [0.125] * 4 + [1.0] * 2
    assert both.prefix.weight[0].tolist() == [0.5] * 4 + [1.0] * 2
    assert [it for it in both.prefix.sources if it is not None] == [half]
    assert alone.prefix is None


def test_where_tokens_see_each_other_it_changes_nothing(editor):
    """Every query sees the strength there anyway: the same latents, to the bit."""
    call = {"steps": 2, "seed": 1, "height": 32, "width": 32}
    results = [
        editor.edit(testing.picture(0, (32, 32)), "red", strategy=own, **call)
        for own in (strategy(0.5, scope=scope) for scope in ("auto", "all"))
    ]

    assert torch.equal(*(result.latents for result in results))


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_blocks(small):
    """No graph break, uncompiled values, and after one run no recompilation for other strengths."""
    torch._dynamo.reset()
    own = Small()
    own.pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
    strengths = [[0.4, 0.6, 0.8], [0.2, 0.9, 1.4], [0.5, 0.51, 0.7]]
    masks = [region("area")]

    first = edit(own, strategy(strengths[0], masks=masks))
    with torch._dynamo.config.patch(error_on_recompile=True):
        others = [edit(own, strategy(each, masks=masks)) for each in strengths[1:]]

    for each, result in zip(strengths, [first, *others], strict=True):
        assert distance(result, edit(small, strategy(each, masks=masks))) < 1e-5

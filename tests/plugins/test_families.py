"""One contract over all families: the rows are in `tests/families_table.py`."""

from __future__ import annotations

import pytest
import torch
from families_table import ROWS, STEPS, WAYS, shrink

import refhooks as rh

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("small")]
CPU = torch.device("cpu")
SOME = ("none", "cross_attn", "content mask", "region mask", "concat")
FEW = ("none", "switch")
TARGETS = ["to_q", "to_k", "to_v", "to_qkv_mlp_proj"]  # some of which every model has


@pytest.fixture(scope="module", params=ROWS)
def row(request):
    """A family."""
    return ROWS[request.param]


@pytest.fixture(scope="module")
def small(row):
    """Stock sizes that a test can afford."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch, row)
        yield


@pytest.fixture(scope="module")
def editor(row, small):
    """One that is shared: refhooks leaves the model as it is."""
    return row.editor()


@pytest.fixture(scope="module")
def plain(row, editor):
    """What every way makes of a pipeline to which nothing was done."""
    return ways_of(row, editor)


def ways_of(row, editor, names=("none", *WAYS)):
    """Latents of an edit with no strategy, and of ways to steer."""
    picture = row.pictures(1)
    return {name: row.edit(editor, picture, WAYS.get(name)).latents for name in names}


def assert_close(expected, actual, atol=0.0):
    """The same latents, within a tolerance."""
    for name, latents in actual.items():
        difference = float((expected[name] - latents).abs().max())
        assert (name, difference <= atol) == (name, True), difference


def test_without_a_strategy_it_is_the_stock_pipeline(row, editor, plain):
    """To the bit, with the model's own guidance."""
    assert torch.equal(plain["none"], row.stock(editor, row.pictures(1)))


def test_in_bfloat16_too(row):
    """Where one order of rounding is not another."""
    if row.load is not None:
        pytest.skip("it comes in one type")
    own = row.editor(dtype=torch.bfloat16)

    result = row.edit(own, row.pictures(1)).latents

    assert torch.equal(result, row.stock(own, row.pictures(1)))


@pytest.mark.parametrize("method", ["default", "cross_attn", "inject", "concat", "guidance"])
def test_strength_0_is_no_picture(row, editor, plain, method):
    """Two pictures of one size give one result."""
    made = rh.method(method, tied=True) if method == "concat" else method
    one, other = (
        row.edit(editor, row.pictures(1, first), rh.Stage(made, 0.0)).latents for first in (0, 5)
    )

    assert torch.equal(one, other)
    assert not torch.equal(one, plain["none"])


@pytest.mark.parametrize("method", ["default", "cross_attn", "guidance"])
def test_strength_1_is_the_stock_pipeline(row, editor, plain, method):
    """For the methods on the model's own tokens."""
    result = row.edit(editor, row.pictures(1), rh.Stage(method, 1.0))

    assert torch.equal(result.latents, plain["none"])


def test_every_way_acts(row, editor, plain):
    """Methods, masks, a switch: each gives latents of its own; reuse does where it is not exact."""
    values = {name: it for name, it in plain.items() if name != "reuse"}
    names = list(values)

    assert all(bool(torch.isfinite(it).all()) for it in plain.values())
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            assert not torch.equal(values[name], values[other]), (name, other)
    assert torch.equal(plain["reuse"], plain["cross_attn"]) is editor.family.reuse_exact


def test_a_region_mask_adds_nothing_where_it_does_not_reach(row, editor):
    """Of what inject mixes in: it is what no picture gives there."""
    region = rh.mask(box="0,0,50%,100%", kind="region")
    before = {}

    class Mixed:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, ctx, inputs):
            if ctx.step.index == STEPS - 1:
                before.setdefault("seen", inputs.target)

        @rh.hookimpl(tryfirst=True)
        def refhooks_step(self, ctx, latents):
            if ctx.step.index == STEPS - 1:
                before["latents"] = latents

    row.edit(
        editor, row.pictures(1), rh.Strategy(rh.Stage("inject", 0.6), masks=[region]),
        plugins=[Mixed()],
    )  # fmt: skip

    rows, columns = editor.family.grid(rh.Size(row.side, row.side))
    changed = (before["seen"] - before["latents"]).abs().amax(dim=-1).view(rows, columns)
    assert float(changed[:, columns // 2 :].max()) == 0.0
    assert float(changed[:, : columns // 2].min()) > 0.0


def test_two_references(row, editor, plain):
    """The stock pipeline's, to the bit; or refused before anything is encoded."""
    pictures = row.pictures(2)
    if "two references" in row.refuses:
        with pytest.raises(rh.InputError, match=row.refuses["two references"]):
            row.edit(editor, pictures)
        return

    result = row.edit(editor, pictures).latents

    assert torch.equal(result, row.stock(editor, pictures))
    assert not torch.equal(result, plain["none"])


def test_shares_are_recorded(row, editor, plain):
    """Of every step and block; they sum to 1, and recording changes nothing."""
    result = row.edit(editor, row.pictures(1), record_attention=True)

    assert torch.equal(result.latents, plain["none"])
    assert result.attention_shares.shape[:3] == (STEPS, editor.family.blocks, 2)
    sums = result.attention_shares.sum(dim=2)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_after_an_exception_the_next_run_is_clean(row, editor, plain):
    """In the middle of a run with everything on the model; processors are the stock ones again."""
    before = dict(editor.pipe.transformer.attn_processors)

    def fail(step, *_):
        if step == 1:
            raise RuntimeError("stopped in the middle")

    for way in ("reuse", "region mask", "concat", "content mask"):
        with pytest.raises(RuntimeError, match="stopped in the middle"):
            row.edit(editor, row.pictures(1), WAYS[way], callback=fail)

    assert before == dict(editor.pipe.transformer.attn_processors)
    assert_close(plain, ways_of(row, editor, FEW))


def test_replay(row, editor, tmp_path):
    """Of the picture that was saved: the same to the bit."""
    row.pictures(1)[0].save(tmp_path / "photo.png")
    made = row.edit(editor, [tmp_path / "photo.png"], WAYS["switch"])
    made.save(tmp_path / "made.png")

    with row.quiet():
        again = editor.replay(tmp_path / "made.png")

    assert torch.equal(made.latents, again.latents)


def test_a_lora_on_and_off(row, plain):
    """On: the stock pipeline's with it. Off: as before, to the bit."""
    import peft

    own = row.editor()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = peft.LoraConfig(r=2, target_modules=TARGETS, init_lora_weights=False)
        own.pipe.transformer.add_adapter(config)

    on = ways_of(row, own, FEW)

    assert torch.equal(on["none"], row.stock(own, row.pictures(1)))
    assert not any(torch.equal(on[name], plain[name]) for name in on)
    own.pipe.transformer.unload_lora()
    assert_close(plain, ways_of(row, own, FEW))


def test_offload(row, plain):
    """By group and by model: what hangs on the transformer's forward goes on working."""
    own = row.editor()
    own.pipe.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1
    )
    assert_close(plain, ways_of(row, own, SOME))

    own = row.editor()
    own.pipe.enable_model_cpu_offload(device="cpu")
    assert_close(plain, ways_of(row, own, SOME))


def test_layerwise_casting(row):
    """Weights rest in 8 bits: the stock pipeline's latents; and every way of rounded weights."""
    own, rounded = row.editor(), row.editor()
    own.pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )
    at_rest = dict(own.pipe.transformer.named_parameters())
    with torch.no_grad():
        for name, weight in rounded.pipe.transformer.named_parameters():
            weight.copy_(at_rest[name].float())

    latents = ways_of(row, own, SOME)

    assert any(weight.dtype == torch.float8_e4m3fn for weight in at_rest.values())
    assert torch.equal(latents["none"], row.stock(own, row.pictures(1)))
    assert_close(ways_of(row, rounded, SOME), latents)


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_blocks(row, plain):
    """No graph break; after one run of a strategy nothing is compiled again for other strengths."""
    if row.compiled is not None:
        pytest.skip(f"by {row.compiled}")
    torch._dynamo.reset()
    own, picture = row.editor(), row.pictures(1)
    own.pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")

    assert_close(plain, ways_of(row, own, SOME[:3]), atol=1e-5)
    with torch._dynamo.config.patch(error_on_recompile=True):
        sums = {
            float(row.edit(own, picture, rh.Stage("cross_attn", each)).latents.sum())
            for each in ([0.4, 0.6], [0.2, 1.4], [0.5, 0.7])
        }

    assert len(sums) == 3
    torch._dynamo.reset()


def test_a_step_cache_that_it_cannot_do_with(row, editor):
    """Where a run keeps keys itself; the others have tests of their own."""
    from diffusers.hooks.hooks import HookRegistry, ModelHook

    if "step cache" not in row.refuses:
        pytest.skip("it takes them, or diffusers has none for it")

    class Remembers(ModelHook):
        _is_stateful = True

        def reset_state(self, module):
            return module

    registry = HookRegistry.check_if_exists_or_initialize(editor.pipe.transformer)
    registry.register_hook(Remembers(), "remembers")
    try:
        with pytest.raises(rh.InputError, match=row.refuses["step cache"]):
            row.edit(editor, row.pictures(1))
    finally:
        registry.remove_hook("remembers")

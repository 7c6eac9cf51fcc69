"""What step caches and run plugins leave out, as a plan counts it: against runs, and by hand."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest
from families_table import ROWS, shrink

import refhooks as rh
from refhooks import testing

SWITCH = rh.Strategy([rh.Stage("default", 0.5, until=0.5), rh.Stage("default", 1.0)])
GONE = rh.Strategy([rh.Stage("default", 1.0, until=0.4), rh.Stage("default", 0.0)])


@pytest.fixture(scope="module")
def full():
    """Qwen-Image-Edit at full size and 1 MP."""
    return rh.load_registry().families["qwen-image-edit-plus"].shape(None)


@pytest.fixture
def editor(monkeypatch):
    """On a small model."""
    shrink(monkeypatch, ROWS["qwen-image-edit-plus"])
    return ROWS["qwen-image-edit-plus"].editor()


@attrs.frozen
class Leaving:
    """A run plugin that says what it computes."""

    name: ClassVar[str] = "leaving"
    shares: object = None
    inside: rh.Inside | None = attrs.field(factory=rh.Inside)

    def computes(self, sigmas):
        """Return them."""
        assert sigmas == sorted(sigmas, reverse=True)
        return self.shares

    def bind_run(self, run):
        """Never called here."""
        raise NotImplementedError


@attrs.frozen
class Silent:
    """One that leaves something out, and says nothing of it."""

    name: ClassVar[str] = "silent"
    inside: rh.Inside = attrs.field(factory=rh.Inside)

    def bind_run(self, run):
        """Never called here."""
        raise NotImplementedError


def passes_of(editor, **options):
    """How many passes of each step of a run went through a block."""
    counts = [0]
    layer = editor.pipe.transformer.transformer_blocks[0].attn.to_q
    handle = layer.register_forward_pre_hook(lambda *_: counts.__setitem__(-1, counts[-1] + 1))
    editor.edit(
        testing.picture(0, (48, 32)), "make it blue", seed=1, height=32, width=32,
        callback=lambda *_: counts.append(0), **options,
    )  # fmt: skip
    handle.remove()
    return counts[:-1]


@pytest.mark.parametrize(
    ("strategy", "cfg", "interval"),
    [
        (None, 2.0, 3),
        (None, 1.0, 4),
        (SWITCH, 2.0, 5),
        (GONE, 2.0, 5),
        (None, "0.5@2", 5),
        (None, [2, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2], 4),
        (SWITCH, [1, 2, 2, 1, 1, 1, 2, 2, 2, 1, 1, 2], 3),
    ],
    ids=["guided", "unguided", "switch", "no tokens", "late guidance", "pause", "both"],
)
def test_taylorseer_is_counted_as_it_runs(editor, strategy, cfg, interval):
    """Where a stage begins, tokens go or guidance comes back, it begins anew."""
    cache = f"taylorseer:interval={interval},start=2"
    found = passes_of(editor, strategy=strategy, steps=12, cfg=cfg, cache=cache)

    cost = rh.cost(strategy or "default", 12, editor=editor, cfg=cfg, cache=cache)
    plain = rh.cost(strategy or "default", 12, editor=editor, cfg=cfg)
    ran = passes_of(editor, strategy=strategy, steps=12, cfg=cfg)
    assert found != ran
    expected = [
        whole * own / all_ for whole, own, all_ in zip(plain.steps, found, ran, strict=True)
    ]
    assert cost.steps == pytest.approx(expected)
    assert cost.remarks == (f"taylorseer: {sum(found)} of {sum(ran)} passes go through the blocks",)


def test_first_block_cache_is_not_counted_and_says_so(full):
    """What it leaves out depends on the picture."""
    cost = rh.cost("default", 8, shape=full, cache="fbcache")

    assert cost.steps == rh.cost("default", 8, shape=full).steps
    assert cost.remarks == ("not counted: fbcache; what it leaves out depends on the picture",)
    assert str(cost).endswith(cost.remarks[0])
    assert cost.as_dict()["remarks"] == list(cost.remarks)


def test_a_plugin_says_what_it_computes(full):
    """Of the output's tokens, which are asked for alone and attended to alone."""
    cost = rh.cost("inject", 4, shape=full, cfg=1.0, plugins=[Leaving((1, 1, 0.5, 0.25))])

    tokens = [full.text + share * full.target for share in (1, 1, 0.5, 0.25)]
    assert cost.steps == pytest.approx([full.flops(each, each) for each in tokens])
    [remark] = cost.remarks
    assert "estimated: leaving computes 25% of the output's tokens from step 3 on" in remark


def test_references_are_read_from_earlier_steps(full):
    """As ``reuse`` of its ``inside`` has it, from the first step that leaves something out."""
    plugin = Leaving((1, 0.5, 0.5, 0.5, 0.5), rh.Inside(reuse=3))
    cost = rh.cost("default", 5, shape=full, cfg=1.0, plugins=[plugin])

    own, reference = full.text + 0.5 * full.target, full.reference
    anew, again = full.flops(own + reference, own + reference), full.flops(own, own + reference)
    assert cost.steps[1:] == pytest.approx([anew, again, again, anew])
    assert cost.kept_bytes > 0


def test_auto_mask_is_estimated(full):
    """From the step after the one that finds the mask."""
    cost = rh.cost("default", 8, shape=full, cfg=1.0, plugins=[rh.plugin("auto_mask")])

    assert [round(step / cost.native, 2) for step in cost.steps] == [1.0] * 3 + [0.76] * 5
    assert "estimated: auto_mask computes 59% of the output's tokens from step 4 on" in str(cost)
    whole = rh.plugin("auto_mask", compute="all")
    assert rh.cost("default", 8, shape=full, cfg=1.0, plugins=[whole]).over_native == 1.0


def test_what_says_nothing_is_not_counted(full):
    """Which the cost says; one that leaves out nothing is not spoken of."""
    cost = rh.cost("default", 4, shape=full, plugins=[Silent()])

    assert cost.over_native == 1.0
    assert cost.remarks == ("not counted: what silent leaves out",)
    assert rh.cost("default", 4, shape=full, plugins=[rh.plugin("keep_pixels")]).remarks == ()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((1.0,), "computes gives 1 shares for 4 steps"),
        ((1, 1, 1, 2.0), "a share must be a number from 0 to 1"),
        ((1, 1, 1, "x"), "a share must be a number from 0 to 1"),
        (3, "computes must return a list of shares, got 3"),
    ],
)
def test_nonsense_of_a_plugin_names_it(full, shares, message):
    """It is the plugin's fault."""
    with pytest.raises(rh.PluginError, match=f"leaving.*{message}"):
        rh.cost("default", 4, shape=full, plugins=[Leaving(shares)])


@pytest.mark.parametrize("options", [
    {"plugins": [Leaving((1, 1, 1, 0.5))]},
    {"compute": "inside", "edit_mask": "0,0,16,16"},
])  # fmt: skip
def test_a_cache_beside_what_an_edit_refuses(full, options):
    """In the edit's words."""
    with pytest.raises(rh.InputError, match="takes every step to be of all tokens; leave out"):
        rh.cost("default", 4, shape=full, cache="taylorseer", **options)


def test_a_model_that_keeps_the_prefix_takes_no_cache():
    """Nor does its edit."""
    families = rh.load_registry().families
    kept = next(
        it.shape(None) for it in families.values() if it.shape and it.shape(None).keeps_prefix
    )
    with pytest.raises(
        rh.InputError, match="keeps keys and values itself, and takes no step cache"
    ):
        rh.cost("default", 4, shape=kept, cache="fbcache")


@pytest.mark.parametrize("name", ["auto_mask", "keep_pixels"])
def test_a_plugin_that_needs_a_source_is_planned_without(name):
    """A plan without pictures does not know that there is none."""
    assert len(rh.plan("default", 4, plugins=[rh.plugin(name)]).steps) == 4

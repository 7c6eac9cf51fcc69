"""What a run costs on a model that keeps text and references."""

from __future__ import annotations

import attrs
import pytest

import refhooks as rh
from refhooks_qwen21._shape import shape
from refhooks_qwen21._tiny import tiny_pipeline

AT_1MP = attrs.evolve(shape(None), target=4096, reference=4096, text=300)


def cost(*strategies, steps=16, size=AT_1MP):
    """The cost of a run with one reference a strategy."""
    return rh.cost([rh.Reference("", strategy) for strategy in strategies], steps, shape=size)


@pytest.mark.parametrize(("tokens", "times"), [(4096, 2.47), (1024, 2.78)])
def test_two_references_and_a_strength_cost_what_stock_does(tokens, times):
    """Keeping text and references saves what the operations say: one prefix in 16 steps."""
    size = attrs.evolve(AT_1MP, target=tokens, reference=tokens)
    kept = cost(rh.Stage("cross_attn", "0.4:1.0"), None, size=size)

    assert kept.over_native == 1.0
    assert 1.0 / kept.over_unkept == pytest.approx(times, abs=0.01)
    assert kept.steps[1:] == (kept.steps[1],) * 15
    assert kept.steps[0] > kept.steps[1]
    assert kept.kept_bytes == size.kept_bytes(300 + 2 * tokens)
    assert f"{1.0 / kept.over_unkept:.2f} times as fast as computing them again" in str(kept)


def test_default_computes_anew_where_its_strength_changes():
    """The steps at which it does cost as much as the first."""
    rising = cost(rh.Stage("default", "0.4:1.0"), steps=4)
    switched = cost(rh.Strategy([rh.Stage("default", 0.5, until=0.5), "default"]), steps=4)

    assert len(set(rising.steps)) == 1
    assert [step == switched.steps[0] for step in switched.steps] == [True, False, True, False]


def test_a_reference_that_comes_in_is_computed_then():
    """A strength of 0 leaves it out, with what the text would see of it."""
    steps = cost(rh.Stage("cross_attn", "0:1.0"), steps=4).steps

    assert steps[1] > max(steps[0], steps[2])
    assert steps[2] == steps[3]


def test_a_model_that_keeps_nothing_is_not_compared_with_one():
    """The line is of models with a kept prefix alone."""
    size = attrs.evolve(AT_1MP, keeps_prefix=False)

    assert cost("default", size=size).over_unkept is None
    assert "computing them again" not in str(cost("default", size=size))


def test_the_weights_are_counted_to_the_last():
    """By the configuration of a small transformer."""
    transformer = tiny_pipeline().transformer

    weights = sum(weight.numel() for weight in transformer.parameters())
    assert shape(transformer.config).parameters == weights

"""The same strategy without what its methods leave out for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._core.planning.strategy import as_strategy
from refhooks._core.plugins.labels import naming_method

if TYPE_CHECKING:
    from refhooks._core.planning.strategy import Reference, Stage
    from refhooks._core.plugins.registry import Registry

__all__ = ["exactly"]


def exactly(reference: Reference, registry: Registry) -> Reference:
    """Return a reference whose methods leave nothing out; itself if they do not anyway.

    Raises:
        UnknownNameError: A method that no live plugin registers.
    """
    if reference.strategy is None:
        return reference
    strategy = as_strategy(reference.strategy, "")
    stages = tuple([_exact_stage(stage, registry) for stage in strategy.stages])
    if stages == strategy.stages:
        return reference
    return attrs.evolve(reference, strategy=attrs.evolve(strategy, stages=stages))


def _exact_stage(stage: Stage, registry: Registry) -> Stage:
    method = registry.method(stage.method) if isinstance(stage.method, str) else stage.method
    if not hasattr(method, "exactly"):
        return stage
    with naming_method(method, "exactly", registry):
        exact = method.exactly()
    return stage if exact == method else attrs.evolve(stage, method=exact)

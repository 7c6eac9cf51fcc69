"""The adapter to a pipeline, by the name of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._core.plugins.attribution import naming
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from refhooks._core.contract.checkpoint import Checkpoint
    from refhooks._core.contract.family import Family
    from refhooks._core.plugins.registry import Registry

__all__ = ["adapt"]


def adapt(registry: Registry, pipe: Any, checkpoint: Checkpoint) -> tuple[Any, Checkpoint, Family]:
    """Return a pipeline, what its checkpoint prescribes, and the adapter to its family.

    A modular pipeline becomes the pipeline that its components make.

    Raises:
        ModelError: No live plugin adapts it, or it is a modular one that cannot be taken over.
    """
    classes = [cls.__name__ for cls in type(pipe).__mro__]
    for name in classes:
        for entry in registry.families.values():
            if name not in {*entry.pipelines, *entry.modular}:
                continue
            if name in entry.modular:
                from refhooks._parts.modular import assembled, with_defaults  # noqa: PLC0415  rare

                checkpoint = with_defaults(checkpoint, pipe)
                pipe = assembled(pipe, entry.modular[name])
            with naming(f"family {entry.name!r}{registry.brought('family', entry.name)}, load"):
                return pipe, checkpoint, entry.load()(pipe, checkpoint)
    raise ModelError(f"{classes[0]}: {registry.no_family(classes[0])}")

"""Passes over a part of the target, and what on a model rules them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._attending.layer_hooks import is_compiled
from refhooks._attending.named_caches import lasting_cache_of
from refhooks._attending.step_caches import step_cache_of
from refhooks.errors import InputError

if TYPE_CHECKING:
    import torch

    from refhooks._core.contract.family import Family
    from refhooks._core.contract.inside import Inside

__all__ = ["check_parts", "remark_on_parts", "sees_parts"]

GIB = 2**30


def sees_parts(transformer: torch.nn.Module) -> bool:
    """Return whether nothing on a transformer takes every pass to be of the whole picture."""
    return step_cache_of(transformer) is None and not is_compiled(transformer)


def check_parts(family: Family, inside: Inside, what: str, name: str) -> None:
    """Refuse passes over a part of the target where a model cannot have them, as it is loaded.

    Args:
        family: Of the model.
        inside: How they are made.
        what: Asks for them, for the message.
        name: What is left out then.

    Raises:
        InputError: The family computes the whole target, or what is on the transformer takes every
            pass to be of it.
    """
    transformer = family.transformer
    if not family.takes_keep:
        raise InputError(
            f"{what}: {family.name} computes the whole target at every step; leave {name} out"
        )
    cache = lasting_cache_of(transformer)
    if cache is not None:
        raise InputError(
            f"{what}: the transformer has a step cache ({cache}), which takes every step to be of"
            f" the whole picture; take it off (transformer.disable_cache()), or leave {name} out"
        )
    if getattr(transformer, "_parallel_config", None) is not None:
        raise InputError(
            f"{what}: the transformer runs in parallel over several devices, which share a whole"
            f" picture alone; load it on one device, or leave {name} out"
        )
    if is_compiled(transformer):
        raise InputError(
            f"{what}: the transformer is compiled as a whole, which hides from it where the tokens"
            " stand; compile its blocks instead (transformer.compile_repeated_blocks())"
        )
    if inside.reuse > 1 and family.reuse_exact:
        raise InputError(
            f"{what}: {family.name} keeps the keys and values of references itself, and exactly, so"
            f" reuse={inside.reuse} would do nothing; leave reuse and near out"
        )


def remark_on_parts(
    inside: Inside, tokens: tuple[int, int], near: int, steps: int, size: int | None
) -> str:
    """Return what a plan says of ``compute="inside"``.

    Args:
        inside: As it was asked for.
        tokens: Of the target, how many are computed, and all of them.
        near: Tokens of references that are computed at every step.
        steps: ``N``.
        size: Bytes that the references' keys and values take; ``None``: not known.
    """
    said = f"compute inside: {tokens[0]} of {tokens[1]} tokens of the output"
    every = inside.reuse
    if every == 1:
        return f"{said}, at every step"
    anew = ", ".join(str(step + 1) for step in range(0, steps, every))
    when = f"steps {anew}" if steps > every else f"step {anew}"
    said += f"; keys and values of the references anew at {when}"
    if near:
        said += f", those of {near} tokens near the mask at every step"
    if size is not None and steps > 1:
        said += f"; they take {size / GIB:.2f} GiB"
    return said

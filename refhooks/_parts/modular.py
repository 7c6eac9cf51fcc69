"""Modular pipelines of diffusers: their components as the pipeline that a family adapts."""

from __future__ import annotations

import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.names import listed
from refhooks._base.shown import shown
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from refhooks._core.contract.checkpoint import Checkpoint

__all__ = ["assembled", "needed", "with_defaults"]

_CONFIG = {"guidance_rescale": 0.0, "use_original_formulation": False}  # of a plain guider


def needed(place: str) -> dict[str, bool]:
    """Return what a pipeline is made of, and whether it takes that to make one.

    Args:
        place: What makes it, as :attr:`refhooks.FamilyEntry.modular` names it.
    """
    parameters = inspect.signature(pkgutil.resolve_name(place)).parameters
    return {
        name: parameter.default is inspect.Parameter.empty for name, parameter in parameters.items()
    }


def assembled(modular: Any, place: str) -> Any:
    """Return a pipeline of the components of a modular one, which are shared and not copied.

    Args:
        modular: A ``ModularPipeline`` of diffusers.
        place: What makes it, as :attr:`refhooks.FamilyEntry.modular` names it.

    Raises:
        ModelError: It lacks components, or runs blocks that are not diffusers' own for it.
    """
    blocks = list(_tree(modular.blocks))
    _check_blocks(modular, blocks)
    parts, missing = {}, []
    for name, required in needed(place).items():
        value = _found(modular, blocks, name)
        if value is not None:
            parts[name] = value
        elif required:
            missing.append(name)
    if "guider" in modular.components and modular.guider is None:
        missing.append("guider")
    if missing:
        raise ModelError(
            f"this {type(modular).__name__} has no {listed(missing)}; load what it names"
            " (pipe.load_components()), or give it (pipe.update_components(...)), and then make"
            " the editor"
        )
    pipe = pkgutil.resolve_name(place)(**parts)
    pipe.register_to_config(_name_or_path=modular._pretrained_model_name_or_path)  # noqa: SLF001  there is no public name for it
    return pipe


def with_defaults(checkpoint: Checkpoint, modular: Any) -> Checkpoint:
    """Return what a checkpoint prescribes, and where it says nothing, what the blocks do.

    Raises:
        ModelError: They are guided in a way that no editor runs.
    """
    inputs = modular.default_call_parameters
    guided = _scale(modular)
    return attrs.evolve(
        checkpoint,
        steps=checkpoint.steps or inputs.get("num_inference_steps"),
        cfg=(guided or inputs.get("guidance_scale")) if checkpoint.cfg is None else checkpoint.cfg,
    )


def _scale(modular: Any) -> float | None:
    """The scale of classifier-free guidance; ``None`` where nothing guides."""
    from diffusers import ClassifierFreeGuidance  # noqa: PLC0415  takes seconds

    guider = modular.components.get("guider")
    if guider is None:
        return None
    if type(guider) is not ClassifierFreeGuidance:
        said = f"is a {type(guider).__name__}"
    else:
        odd = {name: getattr(guider, name) for name in _CONFIG}
        odd = {name: value for name, value in odd.items() if value != _CONFIG[name]}
        if (guider._start, guider._stop) != (0.0, 1.0):  # noqa: SLF001  it has no public names
            odd["start, stop"] = (guider._start, guider._stop)  # noqa: SLF001
        if guider.guidance_scale < 1.0:
            odd["guidance_scale"] = guider.guidance_scale
        said = f"has {listed(f'{name}={value}' for name, value in odd.items())}" if odd else ""
    if said:
        raise ModelError(
            f"the guider of this {type(modular).__name__} {said}, which an editor does not run;"
            " give it plain guidance of a scale from 1 on"
            " (pipe.update_components(guider=ClassifierFreeGuidance(guidance_scale=...)))"
        )
    return float(guider.guidance_scale) if guider._enabled else 1.0  # noqa: SLF001


def _tree(block: Any) -> Iterator[Any]:
    """A block, and all blocks inside it."""
    yield block
    for part in getattr(block, "sub_blocks", {}).values():
        yield from _tree(part)


def _check_blocks(modular: Any, blocks: list[Any]) -> None:
    """Refuse blocks of which an edit would leave something out, without a word."""
    import diffusers  # noqa: PLC0415  takes seconds

    own = getattr(diffusers, modular.default_blocks_name)()
    known = {diffusers.SequentialPipelineBlocks, *map(type, _tree(own))}  # a workflow is of these
    foreign = sorted({type(block).__name__ for block in blocks if type(block) not in known})
    if foreign:
        raise ModelError(
            f"this {type(modular).__name__} runs {listed(foreign)}, which"
            f" {modular.default_blocks_name} of diffusers does not have and an editor would leave"
            " out; make it of the blocks of diffusers"
        )


def _found(modular: Any, blocks: list[Any], name: str) -> Any:
    """What a modular pipeline has under a parameter's name: a component, a setting, or a default.

    Raises:
        ModelError: Two of its blocks have different ones.
    """
    components = modular.components
    if components.get(name) is not None:
        return components[name]
    if name == "tokenizer" and components.get("processor") is not None:
        return components["processor"].tokenizer  # the blocks take it from there
    if name in components:
        return None
    if modular.config.get(name) is not None:
        return modular.config[name]
    stated = [vars(block)[name] for block in blocks if name in vars(block)]
    if any(value != stated[0] for value in stated):
        raise ModelError(
            f"the blocks of this {type(modular).__name__} have several {name}: {shown(stated)}; an"
            " editor runs with one, so give them the same"
        )
    defaults: Mapping[str, Any] = modular.default_call_parameters
    return stated[0] if stated else defaults.get(name)

"""A model's modules from its configuration alone: what plans and costs need of a checkpoint."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.shown import shown
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["has_weights", "weightless_modules"]

_BROKEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_built: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()


def weightless_modules(
    name: str, index: Mapping[str, Any], dtype: torch.dtype, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Build the models of a pipeline without their weights, to pass to ``from_pretrained``.

    Args:
        name: A folder, or a repository on the Hugging Face Hub.
        index: Its ``model_index.json``.
        dtype: Of the weights.
        options: Where the Hub is asked, as diffusers and transformers take it.

    Raises:
        ModelError: A configuration is missing or broken.
    """
    import diffusers  # noqa: PLC0415  takes seconds
    import transformers  # noqa: PLC0415

    libraries = {"diffusers": diffusers, "transformers": transformers}  # nothing else is imported
    models = {}
    for part, source in index.items():
        if isinstance(source, list) and len(source) == 2 and source[0] in libraries:
            kind = getattr(libraries[source[0]], str(source[1]), None)
            try:
                model = _build(kind, name, part, options)
            except _BROKEN as error:
                raise ModelError(f"{name}: {part}/config.json cannot be used: {error}") from error
            if model is not None:
                models[part] = _hollow(model, dtype)
                _built.add(model)
    return models


def _build(kind: Any, name: str, part: str, options: Mapping[str, Any]) -> Any:
    """Return a model on no device; ``None`` for what has no weights, such as a tokenizer."""
    from diffusers import ModelMixin  # noqa: PLC0415  takes seconds
    from transformers import PreTrainedModel  # noqa: PLC0415

    place: dict[str, Any] = {"subfolder": part, **options}
    if _is_a(kind, ModelMixin):
        config: Any = kind.load_config(name, **place)
        if not isinstance(config, dict):
            raise TypeError(f"a table was expected, got {shown(config)}")
        with torch.device("meta"):
            return kind.from_config(config)
    if _is_a(kind, PreTrainedModel):
        config = kind.config_class.from_pretrained(name, **place)
        with torch.device("meta"):
            return kind(config)
    return None


def _is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _hollow(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Give every weight its shape and dtype on the CPU, and one number for all of its memory."""
    for module in model.modules():
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        for name, value in own:
            setattr(module, name, _hollowed(value, dtype))
    return model.eval()


def _hollowed(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    kind = dtype if value.is_floating_point() else value.dtype
    hollow = torch.zeros((), dtype=kind).expand(value.shape)
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(hollow, requires_grad=False)
    return hollow


def has_weights(model: torch.nn.Module) -> bool:
    """Whether a model was loaded, not built here."""
    return getattr(model, "_orig_mod", model) not in _built  # under torch.compile

"""Whether the weights of a module are still those that they were."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import torch

from refhooks._base.checksums import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["adapters", "glance", "plain_settings", "plain_tensors"]

SPREAD: Final = 64  # words of each tensor that count with their places
_LIBRARIES = ("accelerate", "diffusers", "torch", "transformers")


def adapters(module: Any) -> list[Any]:
    """Return what peft keeps of a layer's LoRAs beside their weights."""
    scaling = getattr(module, "scaling", None)
    if not isinstance(scaling, dict):
        return []
    acting = [getattr(module, name, None) for name in ("active_adapters", "disable_adapters")]
    return [sorted(scaling.items()), *acting]


def plain_tensors(weight: Any, part: Any, name: str) -> Iterator[tuple[str, Tensor | None]]:
    """Yield the tensors that a weight consists of, each with the class of one that is quantised.

    Args:
        weight: A parameter or buffer.
        part: The module that has it.
        name: Its name there.

    Yields:
        ``None`` for a tensor that cannot be looked at.
    """
    if weight.is_meta:
        weight = _offloaded(part, name)
    if hasattr(weight, "as_tensor"):  # of a GGUF, the bytes
        weight = weight.as_tensor()
    if hasattr(weight, "__tensor_flatten__"):
        kind = type(weight).__qualname__
        for inner in weight.__tensor_flatten__()[0]:
            for own, plain in plain_tensors(getattr(weight, inner), part, name):
                yield kind + own, plain
    elif weight is None or type(weight.data) is not torch.Tensor or weight.is_meta:
        yield "", None
    else:
        yield "", weight.detach()


def _offloaded(part: Any, name: str) -> Any:
    """Where accelerate keeps a weight while its module does not run; ``None``: nowhere."""
    hook = getattr(part, "_hf_hook", None)
    for each in getattr(hook, "hooks", (hook,)):
        weights = getattr(each, "weights_map", None)
        if weights is not None and name in weights:
            return weights[name]
    return None


@torch.no_grad()
def glance(module: torch.nn.Module) -> bytes | None:
    """Return what is another one when weights, LoRAs, hooks or settings of a module are others.

    Every weight is read once, where it lies: the sum of its 64-bit words, in which a single word
    that differs shows, and some words by their places. So it takes what reading the weights does,
    which is less than the module's own pass takes.

    Args:
        module: Looked at and left as it is.

    Returns:
        ``None`` for one with weights that nobody can look at.
    """
    told: list[Any] = [plain_settings(vars(module)), *_configured(module)]
    sums: dict[torch.device, list[Tensor]] = {}
    for label, part in module.named_modules():
        told.append((label, type(part).__qualname__, part.training, adapters(part), _hooks(part)))
        for name, weight in [*part._parameters.items(), *part._buffers.items()]:  # noqa: SLF001  as many as a module has, without a generator each
            for kind, plain in () if weight is None else plain_tensors(weight, part, name):
                if plain is None:
                    return None
                told.append((name, kind, tuple(plain.shape), str(plain.dtype)))
                sums.setdefault(plain.device, []).extend(_sums(plain))
    digest = hashlib.sha256(repr(told).encode())
    for parts in sums.values():
        digest.update(torch.cat(parts).cpu().numpy().tobytes())
    return digest.digest()


def _sums(values: Tensor) -> list[Tensor]:
    """The sum of the words, some of them, and what is left over, each ``[n]`` of int64."""
    flat, size = values.contiguous().flatten(), values.element_size()
    if flat.numel() * size % 8 or flat.storage_offset() * size % 8:
        body, rest = words(flat.view(torch.uint8))
        left = [rest.to(torch.int64)]
    else:
        body, left = flat.view(torch.int64), []
    return [body.sum(dim=0, keepdim=True), body[:: max(1, body.numel() // SPREAD)], *left]


def _hooks(part: Any) -> list[Any]:
    """Hooks that a user put on a module, and functions in the place of its class's own."""
    hooks = [*part._forward_hooks.items(), *part._forward_pre_hooks.items()]  # noqa: SLF001  no public name
    own = [key for key, hook in hooks if not _of_library(hook)]
    instead = [
        (name, id(value))
        for name, value in vars(part).items()
        if name[0] != "_" and callable(value) and hasattr(type(part), name)
    ]
    return [*own, *instead]


def _of_library(hook: Any) -> bool:
    """Whether a library put it on, for itself."""
    home = getattr(hook, "__module__", None) or type(hook).__module__
    return str(home).split(".")[0] in _LIBRARIES


def _configured(module: Any) -> list[str]:
    """A diffusers configuration, and the attention of a model of transformers."""
    attention = getattr(getattr(module, "config", None), "_attn_implementation", "")
    return [repr(getattr(module, "_internal_dict", None)), str(attention)]


def plain_settings(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the public ones that are numbers, texts, or lists and tables of them, in order."""
    return sorted(
        (name, repr(value))
        for name, value in values.items()
        if value is not None and not name.startswith("_") and _is_plain(value)
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) <= SPREAD and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return len(value) <= SPREAD and all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)

"""NaN and infinity: which pictures have them, which part of the pipeline made them, what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.names import listed
from refhooks.errors import NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from refhooks._core.contract.values import Text

__all__ = ["broken_weight", "check_texts", "finite_pictures", "remedy", "which"]


def finite_pictures(values: Tensor) -> Tensor:
    """Return of which pictures of a batch all values are finite, bool ``[B]``."""
    return torch.isfinite(values).reshape(values.shape[0], -1).all(dim=1)


def which(finite: Tensor) -> str:
    """Return how a message names the pictures that are not finite; nothing where there is one."""
    bad = [str(number) for number, good in enumerate(finite.tolist(), 1) if not good]
    if len(finite) == 1:
        return ""
    return f" picture{'' if len(bad) == 1 else 's'} {listed(bad)} of {len(finite)}"


def remedy(model: Any, name: str) -> str:
    """Return what made a part return NaN or infinity, as far as it can be told, and what helps.

    Args:
        model: The part; its weights are looked through.
        name: Its name in the pipeline, such as ``vae``.
    """
    weight = broken_weight(model)
    if weight is not None and "lora_" in weight:
        return (
            f"weights of a LoRA hold NaN or infinity ({name}.{weight}): take it off"
            " (unload_lora_weights()), or load a file that is whole"
        )
    if weight is not None:
        return (
            f"its weights hold NaN or infinity ({name}.{weight}): load it again, in bfloat16 or"
            " float32 if float16 made them, and without a LoRA if one was fused into them"
        )
    dtype = str(getattr(model, "dtype", "")).removeprefix("torch.")
    if dtype in ("float32", "float64"):
        return (
            f"its weights are finite and it runs in {dtype}, so look at what changes it: LoRAs and"
            " their scales, hooks, casting, quantisation, torch.autocast"
        )
    lora = "; a LoRA at a lower scale may help too" if name == "transformer" else ""
    better = "float32" if dtype == "bfloat16" else "bfloat16 or float32"
    return (
        f"its weights are finite{f', but {dtype} may overflow' if dtype else ''}: run it in"
        f" {better} (pipe.{name}.to(torch.float32) works beside parts of another dtype){lora}"
    )


def check_texts(texts: Mapping[str, Text], text_encoder: Any) -> None:
    """Check encoded prompts; what only fills a batch up may hold anything.

    Raises:
        NotFiniteError: One holds NaN or infinity.
    """
    for name, text in texts.items():
        finite = torch.isfinite(text.embeds).all(dim=-1)  # [B,S]
        if text.mask is not None:
            finite = finite | (text.mask == 0)
        if not finite.all():
            prompt = "the negative prompt" if name == "uncond" else "the prompt"
            raise NotFiniteError(
                f"the text encoder, encoding {prompt}, returned NaN or infinity;"
                f" {remedy(text_encoder, 'text_encoder')}"
            )


def broken_weight(model: Any) -> str | None:
    """Return the name of the first weight with NaN or infinity, if any has.

    Those that are not there, or quantised, are not read. It takes one pass over the weights, and is
    asked for only where something is wrong.
    """
    if not isinstance(model, torch.nn.Module):
        return None
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        plain = type(weight) in (torch.Tensor, torch.nn.Parameter) and not weight.is_meta
        readable = plain and weight.is_floating_point() and weight.dtype.itemsize > 1
        if readable and not torch.isfinite(weight).all():
            return name
    return None

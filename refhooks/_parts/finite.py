"""NaN and infinity: which pictures have them, which part of the pipeline made them, what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.names import listed
from refhooks.errors import NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from refhooks._core.contract.values import Context, Text

__all__ = ["check_final", "check_predicted", "check_texts", "finite_pictures", "remedy", "which"]


def finite_pictures(values: Tensor) -> Tensor:
    """Return of which pictures of a batch all values are finite, bool ``[B]``."""
    return torch.isfinite(values).reshape(values.shape[0], -1).all(dim=1)


def which(finite: Tensor) -> str:
    """Return how a message names the pictures that are not finite, such as ``picture 2 of 3``."""
    bad = [str(number) for number, good in enumerate(finite.tolist(), 1) if not good]
    return f"picture{'' if len(bad) == 1 else 's'} {listed(bad)} of {len(finite)}"


def remedy(model: Any, name: str) -> str:
    """Return what made a part return NaN or infinity, as far as it can be told, and what helps.

    Args:
        model: The part; its weights are looked through.
        name: Its name in the pipeline, such as ``vae``.
    """
    weight = _broken_weight(model)
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


def check_predicted(predictions: Mapping[str, Tensor], ctx: Context, transformer: Any) -> None:
    """Check what the model predicted, before a plugin changes it.

    Raises:
        NotFiniteError: A branch holds NaN or infinity.
    """
    for name, prediction in predictions.items():
        if not torch.isfinite(prediction).all():
            raise NotFiniteError(
                f"the model's own prediction, {name}, step {ctx.step.index + 1} of"
                f" {ctx.step.total}: velocity holds NaN or infinity;"
                f" {remedy(transformer, 'transformer')}"
            )


def check_final(latents: Tensor, transformer: Any, *, unsure: bool) -> None:
    """Check the latents of the last step.

    Args:
        latents: ``[B,T,C]``.
        transformer: That made them.
        unsure: Whether a plugin took part whose returns were not looked at.

    Raises:
        NotFiniteError: They hold NaN or infinity; a plugin is suspected only where one took part
            and the model's weights are not to blame.
    """
    finite = finite_pictures(latents)
    if finite.all():
        return
    advice = f"the model made them: {remedy(transformer, 'transformer')}"
    if unsure and _broken_weight(transformer) is None:
        advice = 'run again with check="eager", which says whether the model or a plugin made them'
    raise NotFiniteError(f"the final latents hold NaN or infinity, in {which(finite)}; {advice}")


def _broken_weight(model: Any) -> str | None:
    """The first weight with NaN or infinity; those that are not there, or quantised, are not read.

    It takes one pass over the weights, and is asked for only where something is wrong.
    """
    if not isinstance(model, torch.nn.Module):
        return None
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        plain = type(weight) in (torch.Tensor, torch.nn.Parameter) and not weight.is_meta
        readable = plain and weight.is_floating_point() and weight.dtype.itemsize > 1
        if readable and not torch.isfinite(weight).all():
            return name
    return None

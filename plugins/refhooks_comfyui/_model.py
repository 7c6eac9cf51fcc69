"""The model's side of a workflow: its weights, LoRAs, the shift, what is patched into attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError
from refhooks_comfyui._checkpoints import ENCODERS, UNKNOWN, Checkpoint, checkpoint_of, is_other

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks_comfyui._graph import Node
    from refhooks_comfyui._reading import Reading

LOADS = {"UNETLoader": "unet_name", "UnetLoaderGGUF": "unet_name",
         "CheckpointLoaderSimple": "ckpt_name"}  # fmt: skip
CACHES = ("FluxKVCache", "QwenImage21Cache")
TOKENS, FIRST, LAST = 8 * 8 * 2 * 2, 256, 4096  # pixels of a token; the ends of Flux's line


@attrs.frozen
class Patched:
    """What is loaded and changed.

    Attributes:
        checkpoint: The model, if its weights' name is known.
        weights: Name of their file.
        loader: The node that loads them.
        loras: File and scale of each, in the order of loading.
        shift: Of the noise levels; ``None``: the model's own.
        norm: Strength of CFGNorm; ``None``: there is none.
        keys: Factors on keys and values by the number of the reference; -1: of all.
    """

    checkpoint: Checkpoint = UNKNOWN
    weights: str = ""
    loader: Node | None = None
    loras: tuple[tuple[str, float], ...] = ()
    shift: float | None = None
    norm: float | None = None
    keys: tuple[tuple[int, float, Any], ...] = ()


def model_of(value: Any, reading: Reading) -> Patched:
    """Return what a link to a model brings."""
    read = Patched()
    node = reading.node(value)
    while node is not None:
        if node.type in LOADS:
            file = reading.file(node, node.inputs.get(LOADS[node.type]))
            known = checkpoint_of(file)
            return attrs.evolve(read, checkpoint=known, weights=file, loader=node)
        read = PATCHES.get(node.type, _unknown)(node, reading, read)
        node = reading.node(node.inputs.get("model"))
    return read


def check_model(read: Patched, before: list[Node]) -> None:
    """Refuse a model that refhooks has no family for.

    Args:
        read: What is loaded.
        before: All nodes that the edit depends on.

    Raises:
        InputError: The text encoder or the weights are those of another model.
    """
    loads = [node for node in before if node.type in {"CLIPLoader", "DualCLIPLoader"}]
    kinds = [node.inputs.get("type") for node in loads]
    if read.checkpoint is not UNKNOWN:
        return
    unknown = [kind for kind in kinds if isinstance(kind, str) and kind not in ENCODERS]
    if is_other(read.weights) or (kinds and len(unknown) == len(kinds)):
        raise InputError(
            f"its model is {read.weights[:200]!r} ({read.loader or 'no node loads it'}), which"
            " refhooks has no family for"
        )


def _lora(node: Node, reading: Reading, read: Patched) -> Patched:
    scale = reading.number(node, "strength_model", 1.0)
    clip = reading.number(node, "strength_clip", 0.0) if node.type == "LoraLoader" else 0.0
    if clip:
        reading.notes.near(node, "what a LoRA changes in a text encoder is not applied here")
    if not scale:
        return read
    file = reading.file(node, node.inputs.get("lora_name"))
    return attrs.evolve(read, loras=((file, scale), *read.loras))


def _shift(node: Node, reading: Reading, read: Patched) -> Patched:
    return attrs.evolve(read, shift=read.shift or reading.number(node, "shift"))


def _flux_shift(node: Node, reading: Reading, read: Patched) -> Patched:
    """``exp(mu)``; mu lies on the line through both shifts, at the number of tokens."""
    names = ("max_shift", "base_shift", "width", "height")
    high, low, width, height = (reading.number(node, name) for name in names)
    if high is None or low is None or width is None or height is None:
        reading.notes.none(node, "its shift depends on a size that is not known before; give"
                           " --shift, if the model's own is not meant")  # fmt: skip
        return read
    tokens = width * height / TOKENS
    mu = low + (high - low) * (tokens - FIRST) / (LAST - FIRST)
    shift = math.exp(min(max(mu, -20.0), 20.0))
    return attrs.evolve(read, shift=read.shift or round(shift, 6))


def _norm(node: Node, reading: Reading, read: Patched) -> Patched:
    return attrs.evolve(read, norm=reading.number(node, "strength", 1.0))


def _cache(_node: Node, _reading: Reading, read: Patched) -> Patched:
    """The families of these models keep keys and values by themselves."""
    return read


def _keys(node: Node, reading: Reading, read: Patched) -> Patched:
    name = "weight" if node.type == "Flux2KleinRefLatentWeight" else "strength"
    factor = reading.number(node, name, 1.0)
    place = reading.whole(node, "reference_index") or 0
    if node.inputs.get("spatial_fade") not in (None, "none"):
        reading.notes.none(node, "a fade over the reference; give it a soft content mask")
    return attrs.evolve(read, keys=(*read.keys, (place, 1.0 if factor is None else factor, node)))


def _balance(node: Node, reading: Reading, read: Patched) -> Patched:
    """Below a half the text's keys and values are scaled, above it those of all references."""
    balance = reading.number(node, "balance", 0.5)
    balance = 0.5 if balance is None else balance
    if balance < 0.5:
        reading.notes.none(node, "keys and values of the text are scaled; refhooks weighs those of"
                           " references")  # fmt: skip
        return read
    return attrs.evolve(read, keys=(*read.keys, (-1, (1.0 - balance) * 2.0, node)))


def _unknown(node: Node, reading: Reading, read: Patched) -> Patched:
    reading.notes.none(node, "what it changes in the model is not known here")
    return read


PATCHES: dict[str, Callable[[Node, Reading, Patched], Patched]] = {
    **dict.fromkeys(CACHES, _cache),
    **dict.fromkeys(("LoraLoader", "LoraLoaderModelOnly"), _lora),
    **dict.fromkeys(("ModelSamplingAuraFlow", "ModelSamplingSD3"), _shift),
    **dict.fromkeys(("Flux2KleinRefLatentController", "Flux2KleinRefLatentWeight"), _keys),
    "CFGNorm": _norm,
    "Flux2KleinTextRefBalance": _balance,
    "ModelSamplingFlux": _flux_shift,
}

"""What a sampler starts from: latents of a picture or of nothing, their size, and a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks_comfyui._conditioning import latent_picture, numbered
from refhooks_comfyui._graph import Link

if TYPE_CHECKING:
    from refhooks_comfyui._graph import Node
    from refhooks_comfyui._reading import MaskOf, Picture, Reading


@attrs.frozen
class Start:
    """What a sampler starts from.

    Attributes:
        node: That makes the latents.
        picture: Whose latents they are; ``None``: empty ones.
        like: The picture whose size they have.
        width: Of empty latents, in pixels.
        height: Likewise.
        count: Of pictures.
        mask: Where the picture may change.
    """

    node: Node | None = None
    picture: Picture | None = None
    like: Picture | None = None
    width: int | None = None
    height: int | None = None
    count: int = 1
    mask: MaskOf | None = None


def start_of(value: Any, reading: Reading) -> Start:
    """Return what latents a link brings."""
    mask = None
    node = reading.node(value)
    while node is not None and node.type in {"SetLatentNoiseMask", "RepeatLatentBatch"}:
        if node.type == "SetLatentNoiseMask":
            mask = mask or reading.mask(node.inputs.get("mask"))
        else:
            reading.notes.none(node, "several pictures of one; give -n")
        node = reading.node(node.inputs.get("samples"))
    if node is None:
        return Start()
    if "width" in node.inputs and "height" in node.inputs:
        return attrs.evolve(_empty(node, reading), mask=mask)
    if node.type in {"TextEncodeQwenImage21", "ReferenceMultiLatent"}:
        shown = numbered(node, reading)
        area = reading.whole(node, "resolution") or 0
        like = attrs.evolve(shown[0], area=min(abs(area), 2**20) ** 2) if shown else None
        return Start(node, like=like, mask=mask)
    if node.type == "InpaintModelConditioning":
        picture = reading.picture(node.inputs.get("pixels"))
        mask = mask or reading.mask(node.inputs.get("mask"))
        return Start(node, picture, picture, mask=mask)
    if node.type == "VAEEncodeForInpaint":
        mask = mask or reading.mask(node.inputs.get("mask"))
        reading.notes.near(node, "the masked part is greyed and the mask widened there")
    picture = latent_picture(Link(node.id, 0), reading)
    return Start(node, picture, picture, mask=mask)


def _empty(node: Node, reading: Reading) -> Start:
    """Of a size that is written down, or that of a picture."""
    count = reading.whole(node, "batch_size") or 1
    sizes = [reading.node(node.inputs.get(name)) for name in ("width", "height")]
    if all(it is not None and it.type == "GetImageSize" for it in sizes) and sizes[0] is not None:
        return Start(node, like=reading.picture(sizes[0].inputs.get("image")), count=count)
    width, height = reading.whole(node, "width"), reading.whole(node, "height")
    return Start(node, width=width, height=height, count=count)

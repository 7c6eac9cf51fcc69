"""The prompt's side of a workflow: texts, the pictures that go with them, when and how much."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError
from refhooks_comfyui._graph import Link, Node
from refhooks_comfyui._reading import MaskOf, Picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks_comfyui._reading import Reading

MAX_BRANCHES = 16
MAX_SHOWN = 64
_SINGLE = "TextEncodeQwenImageEdit"


@attrs.frozen
class Shown:
    """A picture as a prompt has it.

    Attributes:
        picture: Which.
        tokens: Whether the model gets its latents.
        seen: Whether the text encoder sees it.
        strength: Its latents are multiplied by this.
        start: Share of the noise schedule at which it begins.
        end: At which it ends.
        mask: Of the picture: which part of it is used; with a soft edge or a hard one.
        soft: Whether the mask scales the latents.
        hold: How much of the mask holds, 0–1.
    """

    picture: Picture
    tokens: bool = True
    seen: bool = False
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: MaskOf | None = None
    soft: bool = False
    hold: float = 1.0


@attrs.frozen
class Branch:
    """A prompt with what goes with it.

    Attributes:
        text: The prompt; a node: it makes it when the workflow runs.
        shown: Its pictures, in order.
        method: Of positions, and the node that names it.
        start: Share of the noise schedule at which it begins.
        end: At which it ends.
        strength: Its weight among others.
        mask: Where in the picture it acts.
        guidance: Embedded guidance.
        zeroed: Whether its text is blanked.
    """

    text: str | Node
    shown: tuple[Shown, ...] = ()
    method: tuple[str, Node] | None = None
    start: float = 0.0
    end: float = 1.0
    strength: float = 1.0
    mask: MaskOf | None = None
    guidance: tuple[float, Node] | None = None
    zeroed: bool = False


Branches = tuple[Branch, ...]


def branches_of(value: Any, reading: Reading) -> Branches:
    """Return the prompts that a link brings, with all that changes them on the way.

    Raises:
        InputError: A node makes prompts in a way that is not known here, or there are too many.
    """
    link = reading.follow(value)
    node = reading.node(link)
    if node is None or not isinstance(link, Link):
        return ()
    if link in reading.memo:
        known: Branches = reading.memo[link]
        return known
    made = HANDLERS.get(node.type, _unknown)(node, link.slot, reading)
    reading.memo[link] = made
    if len(made) > MAX_BRANCHES or any(len(branch.shown) > MAX_SHOWN for branch in made):
        raise InputError(f"{node} joins more than {MAX_BRANCHES} prompts or {MAX_SHOWN} pictures")
    return made


def _before(node: Node, reading: Reading, name: str = "conditioning") -> Branches:
    return branches_of(node.inputs.get(name), reading)


def _text(node: Node, _slot: int, reading: Reading) -> Branches:
    return (Branch(reading.text(node.inputs.get("text"))),)


def _flux_text(node: Node, _slot: int, reading: Reading) -> Branches:
    guidance = reading.number(node, "guidance")
    given = None if guidance is None else (guidance, node)
    return (Branch(reading.text(node.inputs.get("t5xxl")), guidance=given),)


def _with_pictures(node: Node, _slot: int, reading: Reading) -> Branches:
    """Those of Qwen-Image-Edit; without a VAE the text encoder alone sees the pictures."""
    names = ("image",) if node.type == _SINGLE else ("image1", "image2", "image3")
    found = [reading.picture(node.inputs.get(name)) for name in names]
    tokens = reading.node(node.inputs.get("vae")) is not None
    shown = tuple(Shown(it, tokens=tokens, seen=True) for it in found if it is not None)
    return (Branch(reading.text(node.inputs.get("prompt")), shown),)


def numbered(node: Node, reading: Reading) -> list[Picture]:
    """Return the pictures of inputs such as ``images.image_2``, in the order of their numbers."""
    names = [name for name in node.inputs if name.startswith("images.")]
    names.sort(key=lambda name: [int(it) for it in re.findall(r"[0-9]{1,6}", name)])
    found = [reading.picture(node.inputs[name]) for name in names]
    return [picture for picture in found if picture is not None]


def _qwen21(node: Node, slot: int, reading: Reading) -> Branches:
    text = reading.text(node.inputs.get("negative_prompt" if slot == 1 else "prompt"))
    return (Branch(text, tuple(Shown(it, seen=True) for it in numbered(node, reading))),)


def _reference(node: Node, _slot: int, reading: Reading) -> Branches:
    picture = latent_picture(node.inputs.get("latent"), reading)
    if picture is None:
        return _before(node, reading)
    return tuple(_added(branch, [Shown(picture)]) for branch in _before(node, reading))


def _references(node: Node, slot: int, reading: Reading) -> Branches:
    shown = [Shown(picture) for picture in numbered(node, reading)]
    name = "negative" if slot == 1 else "positive"
    return tuple(_added(branch, shown) for branch in _before(node, reading, name))


def _plus(node: Node, _slot: int, reading: Reading) -> Branches:
    """ReferenceLatentPlus: latents times a strength, a part of the run, a mask of the picture."""
    cap = reading.number(node, "max_megapixels", 1.0) or 1.0
    reading.notes.near(node, f"pictures above {cap:g} megapixels are shrunk to that there; here"
                       " they keep their size, or the family's most")  # fmt: skip
    made = [it for number in range(1, 5) if (it := _one_plus(node, number, reading)) is not None]
    return tuple(
        attrs.evolve(_added(branch, made), method=("index", node) if made else branch.method)
        for branch in _before(node, reading)
    )


def _one_plus(node: Node, number: int, reading: Reading) -> Shown | None:
    picture = reading.picture(node.inputs.get(f"image_{number}"))
    head = f"image{number}_"
    strength = reading.number(node, f"{head}strength", 0.85)
    start = reading.number(node, f"{head}start_percent", 0.0) or 0.0
    end = reading.number(node, f"{head}end_percent", 1.0)
    end = 1.0 if end is None else end
    if picture is None or not strength or start >= end:
        return None
    mask = reading.mask(node.inputs.get(f"mask_{number}"))
    regions = ("face", "hair", "body", "clothes", "background")
    if mask is None and any(node.inputs.get(head + name) is True for name in regions):
        reading.notes.none(node, f"picture {number}: a part of the body is found by MediaPipe"
                           " there; make a mask of it, and give it as a content mask")  # fmt: skip
    soft = node.inputs.get("mask_fill_mode") == "latent_zero"
    if mask is not None and node.inputs.get("mask_fill_mode") == "latent_noise":
        reading.notes.near(node, "hidden tokens are filled with noise there, and left out here")
    return Shown(picture, True, False, strength, start, end, mask, soft)


def _added(branch: Branch, more: list[Shown]) -> Branch:
    """A picture that the text encoder sees, and that comes again as latents, is one."""
    shown = list(branch.shown)
    for it in more:
        place = next((at for at, old in enumerate(shown) if _waits_for(old, it)), None)
        if place is None:
            shown.append(it)
        else:
            shown[place] = attrs.evolve(it, seen=True)
    return attrs.evolve(branch, shown=tuple(shown))


def _waits_for(old: Shown, new: Shown) -> bool:
    return old.picture == new.picture and old.seen and not old.tokens


def _method(node: Node, _slot: int, reading: Reading) -> Branches:
    name = reading.text(node.inputs.get("reference_latents_method"))
    if not isinstance(name, str) or not name:
        return _before(node, reading)
    return tuple(attrs.evolve(it, method=(name, node)) for it in _before(node, reading))


def _guidance(node: Node, _slot: int, reading: Reading) -> Branches:
    value = reading.number(node, "guidance")
    given = None if value is None else (value, node)
    return tuple(attrs.evolve(it, guidance=given) for it in _before(node, reading))


def _range(node: Node, _slot: int, reading: Reading) -> Branches:
    start = reading.number(node, "start", 0.0) or 0.0
    end = reading.number(node, "end", 1.0)
    return tuple(
        attrs.evolve(it, start=start, end=1.0 if end is None else end)
        for it in _before(node, reading)
    )


def _zeroed(node: Node, _slot: int, reading: Reading) -> Branches:
    return tuple(attrs.evolve(it, text="", zeroed=True) for it in _before(node, reading))


def _combined(node: Node, _slot: int, reading: Reading) -> Branches:
    names = ("conditioning_1", "conditioning_2")
    return tuple(branch for name in names for branch in _before(node, reading, name))


def _masked(node: Node, _slot: int, reading: Reading) -> Branches:
    strength = reading.number(node, "strength", 1.0)
    mask = reading.mask(node.inputs.get("mask"))
    return tuple(
        attrs.evolve(it, strength=1.0 if strength is None else strength, mask=mask or it.mask)
        for it in _before(node, reading)
    )


def _reference_mask(node: Node, _slot: int, reading: Reading) -> Branches:
    """Flux2KleinMaskRefController: latents times the mask, which is ``soft`` here."""
    mask = reading.mask(node.inputs.get("mask"))
    hold = reading.number(node, "strength", 1.0)
    hold = min(max(1.0 if hold is None else hold, 0.0), 1.0)
    if mask is None or not hold:
        return _before(node, reading)
    if node.inputs.get("invert_mask") is True:
        mask = attrs.evolve(mask, invert=not mask.invert)
    reading.notes.near(node, "the mask is laid on every reference, without the node's feather")
    return tuple(
        attrs.evolve(
            branch,
            shown=tuple(attrs.evolve(it, mask=mask, soft=True, hold=hold) for it in branch.shown),
        )
        for branch in _before(node, reading)
    )


def _inpaint(node: Node, slot: int, reading: Reading) -> Branches:
    reading.notes.none(node, "the picture and its mask as extra input channels, which models that"
                       " fill in take; the mask becomes the edit mask")  # fmt: skip
    return _before(node, reading, "negative" if slot == 1 else "positive")


def _passed(node: Node, _slot: int, reading: Reading) -> Branches:
    return _before(node, reading)


def _unknown(node: Node, _slot: int, reading: Reading) -> Branches:
    """What is not known is passed over and said, where it has a prompt to hand on."""
    names = [name for name in ("conditioning", "positive", "conditioning_1", "conditioning_to")
             if isinstance(node.inputs.get(name), Link)]  # fmt: skip
    if not names:
        raise InputError(f"{node} makes the prompt's encoding in a way that is not known here")
    reading.notes.none(node, "what it does to the prompt's encoding is not known here")
    return _before(node, reading, names[0])


def latent_picture(value: Any, reading: Reading) -> Picture | None:
    """Return the picture whose latents a link brings."""
    node = reading.node(value)
    if node is None:
        return None
    if node.type in {"VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint"}:
        return reading.picture(node.inputs.get("pixels"))
    return Picture(reading.stand_in(node, "the picture of the latents"))


HANDLERS: dict[str, Callable[[Node, int, Reading], Branches]] = {
    "CLIPTextEncode": _text,
    "CLIPTextEncodeFlux": _flux_text,
    "ConditioningCombine": _combined,
    "ConditioningSetAreaStrength": _masked,
    "ConditioningSetMask": _masked,
    "ConditioningSetTimestepRange": _range,
    "ConditioningZeroOut": _zeroed,
    "Flux2KleinMaskRefController": _reference_mask,
    "Flux2KleinRefLatentController": _passed,
    "FluxGuidance": _guidance,
    "FluxKontextMultiReferenceLatentMethod": _method,
    "InpaintModelConditioning": _inpaint,
    "KleinReferenceLatentPlus": _plus,
    "ReferenceLatent": _reference,
    "ReferenceLatentPlus": _plus,
    "ReferenceMultiLatent": _references,
    "TextEncodeQwenImage21": _qwen21,
    "TextEncodeQwenImageEdit": _with_pictures,
    "TextEncodeQwenImageEditPlus": _with_pictures,
}

"""What prompts and pictures were encoded to, kept for the next edits of an editor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

from refhooks._base.kept_pictures import pixels_hash
from refhooks._base.once import once
from refhooks._base.weight_state import glance, plain_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from PIL.Image import Image

    from refhooks._base.encodings import Encodings
    from refhooks._core.contract.family import Family, Shown

T = TypeVar("T")

__all__ = ["kept_latents", "kept_texts"]


def kept_texts(
    family: Family,
    texts: Mapping[str, Sequence[str]],
    shown: Sequence[Shown],
    rest: tuple[Hashable, ...],
    encode: Callable[[Sequence[str]], T],
) -> dict[str, T]:
    """Return the encoded prompts of each pass.

    Args:
        family: The adapter.
        texts: The prompts of each pass, by its name.
        shown: The pictures that the text encoder sees.
        rest: All else that they depend on.
        encode: Encodes the prompts of a pass.
    """
    kept = _ready(family, "text")
    if kept is None:
        return {name: encode(prompts) for name, prompts in texts.items()}
    seen = tuple((it.number, it.area, *map(_hash, it.pictures)) for it in shown)
    return {
        name: kept.once(("text", tuple(prompts), seen, *rest), lambda own=prompts: encode(own))  # type: ignore[misc]
        for name, prompts in texts.items()
    }


def kept_latents(
    family: Family, picture: Image, rest: tuple[Hashable, ...], encode: Callable[[], torch.Tensor]
) -> torch.Tensor:
    """Return the latents of a picture.

    Args:
        family: The adapter.
        picture: As it is encoded.
        rest: All else that they depend on.
        encode: Encodes it.
    """
    kept = _ready(family, "picture")
    if kept is None:
        return encode()
    return kept.once(("picture", _hash(picture), *rest), encode)


def _ready(family: Family, kind: str) -> Encodings | None:
    """What is kept of a kind by this editor; ``None``: nothing is."""
    kept, pipe = family.encodings, family.pipe
    if kept is None or kept.mib == 0 or not family.fixed_encodings:
        return None
    components = dict(getattr(pipe, "components", {}))
    parts = {
        name: part
        for name, part in components.items()
        if (name == "vae") == (kind == "picture") and part is not family.transformer
    }
    states = {name: _state(part) for name, part in parts.items()}
    if not parts or None in states.values():
        return None
    overridden = [
        (name, id(value))
        for name, value in sorted(vars(pipe).items())
        if name not in components and callable(value)
    ]
    told = [states, plain_settings(vars(pipe)), overridden, family.checkpoint, _computing(pipe)]
    kept.use(kind, repr(told))
    return kept


def _state(part: Any) -> Any:
    """Of a model, or of a tokenizer or a processor with those that it holds."""
    if isinstance(part, torch.nn.Module):
        return glance(part)
    own = getattr(part, "__dict__", {})
    inner = {name: plain_settings(getattr(it, "__dict__", {})) for name, it in own.items()}
    return [type(part).__qualname__, id(part), plain_settings(own), inner]


def _computing(pipe: Any) -> list[Any]:
    """What changes the last bits: device, threads, precision, autocast."""
    held: Any = torch.backends
    places = (held, held.cuda.matmul, held.cudnn.conv, held.mkldnn.matmul, held.mkldnn.conv)
    cast = {
        device: torch.is_autocast_enabled(device) and str(torch.get_autocast_dtype(device))
        for device in ("cpu", "cuda")
    }
    return [
        str(pipe.device),
        cast,
        torch.get_num_threads(),
        [place.fp32_precision for place in places],
        torch.are_deterministic_algorithms_enabled(),
    ]


def _hash(picture: Image) -> str:
    """Of its pixels; made once a call."""
    made = lambda: pixels_hash(picture, picture.mode)  # noqa: E731  a name for a line
    return once(("hash of", id(picture)), made, size=lambda _: 0, holding=picture)

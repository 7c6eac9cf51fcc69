"""The scale that a file gives its factors: alpha over rank, from a tensor or from metadata."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.advice import warn_user
from refhooks._loras.header import MAX_SIDE_FILE, SIDE_FILE
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refhooks._loras.header import Header
    from refhooks._loras.layers import Change

_OF_DIFFUSERS = "lora_adapter_metadata"  # what save_lora_weights writes
_PEFT_PREFIX = "base_model.model."


@attrs.frozen
class Settings:
    """What peft's configuration says of alpha.

    Attributes:
        alpha: Of every layer; ``None``: the rank.
        patterns: Of some, by their name or its end.
        root: Whether alpha is over the root of the rank (rsLoRA).
    """

    alpha: float | None
    patterns: Mapping[str, float]
    root: bool

    def of(self, layer: str, rank: int) -> float:
        """Return alpha of a layer, as it counts over the rank."""
        for name, alpha in self.patterns.items():
            if layer == name or layer.endswith(f".{name}"):
                return self._over(alpha, rank)
        return float(rank) if self.alpha is None else self._over(self.alpha, rank)

    def _over(self, alpha: float, rank: int) -> float:
        return alpha * math.sqrt(rank) if self.root else alpha


def scales_of(
    header: Header, changes: Sequence[Change], tensors: Mapping[str, float]
) -> dict[str, float]:
    """Return alpha over rank of each layer; 1 where no file says it, or nothing is factored.

    Args:
        header: Of the file.
        changes: What it changes.
        tensors: Its alphas, by layer.

    Raises:
        InputError: An alpha is 0 or no finite number.
    """
    settings = _settings(header)
    scales = {}
    for change in changes:
        if not change.rank:
            scales[change.layer] = 1.0
            continue
        told = tensors.get(change.layer)
        if told is None:
            told = settings.of(change.layer, change.rank) if settings else float(change.rank)
        if not math.isfinite(told) or told == 0.0:
            raise InputError(
                f"{header.label}, {change.written[:80]}: alpha is {told:g}; expected a finite"
                " number that is not 0, which would change nothing"
            )
        scales[change.layer] = told / change.rank
    _warn_of_missing(header, changes, tensors, settings)
    return scales


def _warn_of_missing(
    header: Header,
    changes: Sequence[Change],
    tensors: Mapping[str, float],
    settings: Settings | None,
) -> None:
    ranked = [change for change in changes if "down" in change.keys]
    lacking = [change for change in ranked if change.layer not in tensors]
    if settings is not None or not lacking:
        return
    trained = _trained(header)
    said = None
    if tensors and len(lacking) < len(ranked):
        said = f"{len(lacking)} of its {len(ranked)} layers have no alpha; taken as their rank"
    elif trained is not None:
        said = (
            f"its header says alpha {trained[0]:g} at rank {trained[1]:g}, its tensors say no"
            " alpha: applied at 1, as by every loader, since converters multiply it in; if it is"
            f" too strong, its scale is {trained[0] / trained[1]:g}"
        )
    elif lacking[0].keys["down"].startswith(_PEFT_PREFIX):
        said = f"there is no {SIDE_FILE} beside it, where peft keeps alpha; taken as the rank"
    if said is not None:
        warn_user(f"{header.label}: {said}")


def _trained(header: Header) -> tuple[float, float] | None:
    """Alpha and rank as kohya's trainers note them, where they differ."""
    try:
        alpha, rank = (float(header.notes[f"ss_network_{name}"]) for name in ("alpha", "dim"))
    except (KeyError, ValueError):
        return None
    usable = math.isfinite(alpha) and math.isfinite(rank) and alpha > 0 and rank > 0
    return (alpha, rank) if usable and alpha != rank else None


def _settings(header: Header) -> Settings | None:
    for note, prefix in ((_OF_DIFFUSERS, "transformer."), (SIDE_FILE, "")):
        text = header.notes.get(note, "")
        try:
            table = json.loads(text) if 0 < len(text) <= MAX_SIDE_FILE else None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{header.label}: {note} is no JSON") from error
        if isinstance(table, dict):
            told = {key.removeprefix(prefix): value for key, value in table.items()}
            if _is_number(told.get("lora_alpha")) or isinstance(told.get("alpha_pattern"), dict):
                return _read(told)
    return None


def _read(table: Mapping[str, Any]) -> Settings:
    patterns = table.get("alpha_pattern")
    pairs = patterns.items() if isinstance(patterns, dict) else ()
    alpha = table.get("lora_alpha")
    return Settings(
        alpha=_as_float(alpha) if alpha is not None and _is_number(alpha) else None,
        patterns={name.lstrip("^"): _as_float(value) for name, value in pairs if _is_number(value)},
        root=table.get("use_rslora") is True,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_float(value: float) -> float:
    """A whole number beyond every float is infinite, which is refused where it is used."""
    if abs(value) <= sys.float_info.max:
        return float(value)
    return math.inf if value > 0 else -math.inf

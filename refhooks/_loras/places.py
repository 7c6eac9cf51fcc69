"""The layers of a model that the names of a file mean, found by comparing names alone."""

from __future__ import annotations

import math
import os.path
import re
from typing import TYPE_CHECKING, Any

import attrs
from torch import nn

from refhooks._loras.original import Part, originals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What trainers and programs write in front of a layer's own name; taken off one after another.
_PREFIX = re.compile(
    r"(?:base_model|pipe|model|module|diffusion_model|transformer|unet|dit|lora_unet|lora_dit"
    r"|lora_transformer|lora|lycoris)[._]"
)
_MOST_PREFIXES = 6
_FEW = 4  # layers below which a common beginning is no sign of a prefix
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@attrs.frozen(eq=False)
class Places:
    """The layers of a model, by names as files write them.

    Attributes:
        dotted: Names of layers as in the model, of their containers where these have one layer.
        flat: Likewise with ``_`` for ``.``, where only one layer is written so.
        layers: The layers by name, out of what wraps them.
        originals: Parts of layers, by names of the model's own code, with ``.`` and with ``_``.
    """

    dotted: Mapping[str, str]
    flat: Mapping[str, str]
    layers: Mapping[str, Any]
    originals: Mapping[str, tuple[Part, ...]]

    def find(self, stems: Iterable[str]) -> dict[str, tuple[Part, ...]]:
        """Return the layers that each of a file's names means: one, several, or none.

        A prefix that nobody has heard of is taken off where all names begin with it.
        """
        names = {stem: self._known(stem) for stem in stems}
        if not any(names.values()) and len(names) >= _FEW:
            common = os.path.commonprefix(list(names))  # noqa: RUF071  no paths
            for cut in reversed([mark.end() for mark in re.finditer(r"[._]", common)]):
                trial = {stem: self._named(stem[cut:]) for stem in names}
                if any(trial.values()):
                    return trial
        return names

    def _known(self, stem: str) -> tuple[Part, ...]:
        for _ in range(_MOST_PREFIXES):
            name = self._named(stem)
            prefix = _PREFIX.match(stem)
            if name or prefix is None:
                return name
            stem = stem[prefix.end() :]
        return ()

    def _named(self, stem: str) -> tuple[Part, ...]:
        flat = stem.replace(".", "_")
        name = self.dotted.get(stem) or self.flat.get(flat)
        return (Part(name),) if name else self.originals.get(stem) or self.originals.get(flat, ())


def places_of(model: nn.Module) -> Places:
    """Return where changes to weights can go: linear layers and convolutions.

    A layer that a LoRA wraps already counts once, under its own name.
    """
    dotted: dict[str, str] = {}
    layers: dict[str, Any] = {}
    wrapped: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if wrapped and name.startswith(wrapped):
            continue
        base = module
        if "base_layer" in vars(module)["_modules"]:
            wrapped, base = (f"{name}.",), base_of(module)
        if name and isinstance(base, LAYERS):
            layers[name] = base
            dotted[name.replace("_orig_mod.", "")] = name  # under torch.compile
        elif name and isinstance(module, nn.Sequential | nn.ModuleList):
            inner = [child for child, part in module.named_children() if _is_layer(part)]
            if len(inner) == 1:
                dotted.setdefault(name, f"{name}.{inner[0]}")
    own = originals(dotted, {name: size_of(base)[0] for name, base in layers.items()})
    own |= {written.replace(".", "_"): parts for written, parts in own.items()}
    return Places(dotted, _flattened(dotted), layers, own)


def uncompiled(model: Any) -> Any:
    """Return the module inside of what ``torch.compile`` returns."""
    return getattr(model, "_orig_mod", model)


def base_of(module: Any) -> Any:
    """Return the layer inside all that peft has wrapped it with."""
    return module.get_base_layer() if hasattr(module, "get_base_layer") else module


def size_of(base: Any) -> tuple[int, int]:
    """Return a layer's sizes out and in; packed weights have other shapes."""
    if hasattr(base, "out_features"):
        return base.out_features, base.in_features
    return base.out_channels, base.in_channels // base.groups * math.prod(base.kernel_size)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(base_of(module), LAYERS)


def _flattened(dotted: Mapping[str, str]) -> dict[str, str]:
    flat: dict[str, set[str]] = {}
    for written, name in dotted.items():
        flat.setdefault(written.replace(".", "_"), set()).add(name)
    return {written: names.pop() for written, names in flat.items() if len(names) == 1}

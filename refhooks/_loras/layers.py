"""What a file changes in each layer, and whether its shapes fit, before any tensor is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._loras.keys import some
from refhooks._loras.places import places_of, size_of
from refhooks.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

    from refhooks._loras.header import Header
    from refhooks._loras.keys import Keys
    from refhooks._loras.original import Part, Rows

Shape = tuple[int, ...]
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_PREFIXES = {"lokr": "LoKr", "hada": "LoHa"}
_NAMES = {"down": "lora_A (lora_down)", "up": "lora_B (lora_up)"}


@attrs.frozen
class Change:
    """What a file does to one layer.

    Attributes:
        layer: The layer's name in the model.
        written: What the file calls it.
        kind: ``LoRA``, ``LoKr`` or ``LoHa``; DoRA is a LoRA with a magnitude.
        keys: Of the file, by part.
        size: Of the layer: out and in, with the kernel of a convolution in ``in``.
        rank: Of its factors; 0 where there are none, and alpha has no say.
        rows: Which outputs of what the file holds are the layer's; empty: all of them.
    """

    layer: str
    written: str
    kind: str
    keys: Mapping[str, str]
    size: tuple[int, int]
    rank: int
    rows: Rows = ()


@attrs.frozen
class Fit:
    """What of a file fits a model.

    Attributes:
        kind: ``LoRA``, ``LoKr``, ``LoHa`` or ``DoRA``.
        changes: One for each layer that is changed.
        homeless: What the file calls layers that the model has not, or that take no change.
    """

    kind: str
    changes: tuple[Change, ...]
    homeless: tuple[str, ...]


def fit_layers(header: Header, keys: Keys, model: nn.Module) -> Fit:
    """Find the layers of a model that a file changes.

    Raises:
        InputError: A change lacks a half, its ranks differ, or kinds are mixed.
        ModelError: Fewer than half of the layers have a place in the model, or a shape differs.
    """
    places = places_of(model)
    names = places.find(keys.layers)
    homeless = tuple(written for written, parts in names.items() if not parts)
    if 2 * len(homeless) > len(names):
        told = (
            f"{len(names) - len(homeless)} of its {len(names)} layers have a place in"
            f" {type(model).__name__}"
        )
        raise ModelError(
            f"{header.label} does not fit: {told}, so it was made for another model"
            f" ({some(keys.layers, 2)})"
        )
    changes: dict[str, Change] = {}
    for written, parts in names.items():
        size = _size_of(parts, places.layers)
        for part in parts:
            if part.layer in changes:
                raise InputError(
                    f"{header.label}: {changes[part.layer].written[:80]} and {written[:80]} are one"
                    " layer"
                )
            own = size_of(places.layers[part.layer])
            whole = _change(header, written, keys.layers[written], part, size)
            changes[part.layer] = attrs.evolve(whole, size=own)
    return Fit(_kind(header, changes.values()), tuple(changes.values()), homeless)


def _size_of(parts: Sequence[Part], layers: Mapping[str, Any]) -> tuple[int, int]:
    """The sizes out and in of several layers beside each other."""
    sizes = [size_of(layers[part.layer]) for part in parts]
    return sum(outputs for outputs, _ in sizes), max((inputs for _, inputs in sizes), default=0)


def _change(
    header: Header, written: str, parts: Mapping[str, str], part: Part, size: tuple[int, int]
) -> Change:
    """What a file does to a layer, with the size of all that the file calls so."""
    label = f"{header.label}, {written[:80]}"
    for name, key in parts.items():
        if name != "alpha" and header.entries[key].kind not in FLOATS:
            raise InputError(f"{label}: {name} is {header.entries[key].kind}; expected floats")
    shapes = {name: header.entries[key].shape for name, key in parts.items() if name != "alpha"}
    if not shapes:
        raise InputError(f"{label}: has alpha and no weights")
    if "alpha" in parts and math.prod(header.entries[parts["alpha"]].shape) != 1:
        raise InputError(f"{label}: alpha must be one number")
    kinds = {_PREFIXES.get(name[:4], "LoRA") for name in shapes}
    if len(kinds) > 1:
        others = ", ".join(sorted(kinds - {"LoRA"}))
        rest = some(sorted(parts[name] for name in shapes if name[:4] not in _PREFIXES))
        raise InputError(f"{label}: is a {others} with {rest}, which is not applied")
    kind = kinds.pop()
    measure = {"LoRA": _low_rank, "LoKr": _kronecker, "LoHa": _hadamard}[kind]
    found, rank = measure(shapes, label, size)
    if found != size:
        raise ModelError(
            f"{label} does not fit: it is for a layer of {found[1]} to {found[0]}, the model's"
            f" {part.layer} is {size[1]} to {size[0]}"
        )
    if kind == "LoKr":
        _check_blocks(shapes, part.rows, label)
    return Change(part.layer, written, kind, dict(parts), size, rank, part.rows)


def _check_blocks(shapes: Mapping[str, Shape], rows: Rows, label: str) -> None:
    """Refuse a Kronecker product that cannot be split between its blocks of rows."""
    inner = shapes.get("lokr_w2") or shapes["lokr_w2_a"]
    if any(row % inner[0] for pair in rows for row in pair):
        raise InputError(
            f"{label}: is a LoKr in blocks of {inner[0]} outputs over several layers of the model,"
            " between which it cannot be split exactly"
        )


def _low_rank(
    shapes: Mapping[str, Shape], label: str, size: tuple[int, int]
) -> tuple[tuple[int, int], int]:
    """The sizes that factors or a whole difference are for, and the rank."""
    for part in {"bias", "bias_difference"} & shapes.keys():
        if shapes[part] != (size[0],):
            raise ModelError(f"{label} does not fit: {part} has the shape {list(shapes[part])}")
    if "difference" in shapes:
        if shapes.keys() - {"difference", "bias_difference"}:
            raise InputError(f"{label}: has a whole difference (diff) and factors; expected one")
        sizes = _flat(shapes["difference"], label, "diff")
        return sizes, 0
    if shapes.keys() == {"bias_difference"}:
        return size, 0
    if "magnitude" in shapes:
        _check_magnitude(shapes["magnitude"], label, size[0])
    return _pair(shapes, "up", "down", label)


def _check_magnitude(shape: Shape, label: str, outputs: int) -> None:
    if not shape:
        raise InputError(f"{label}: its DoRA is one number; expected the shape [{outputs}, 1]")
    if math.prod(shape) != shape[0]:
        raise InputError(
            f"{label}: is a DoRA over inputs (dora_scale {list(shape)}), which is not applied; one"
            f" over outputs has the shape [{outputs}, 1]"
        )
    if shape[0] != outputs:
        raise ModelError(f"{label} does not fit: its DoRA is for {shape[0]} outputs, not {outputs}")


def _kronecker(
    shapes: Mapping[str, Shape], label: str, _size: tuple[int, int]
) -> tuple[tuple[int, int], int]:
    """Sizes and rank of ``kron(w1, w2)``, each of them whole or ``w_a · w_b``."""
    sizes, ranks = [], []
    for part in ("lokr_w1", "lokr_w2"):
        if part not in shapes:
            factored, rank = _pair(shapes, f"{part}_a", f"{part}_b", label)
            sizes.append(factored)
            ranks.append(rank)
        elif {f"{part}_a", f"{part}_b"} & shapes.keys():
            raise InputError(f"{label}: has {part} whole and factored; expected one")
        else:
            sizes.append(_flat(shapes[part], label, part))
    if len(set(ranks)) > 1:
        raise InputError(f"{label}: its LoKr has the ranks {ranks}; expected one")
    (a, b), (c, d) = sizes
    return (a * c, b * d), (ranks or [0])[0]


def _hadamard(
    shapes: Mapping[str, Shape], label: str, _size: tuple[int, int]
) -> tuple[tuple[int, int], int]:
    """Sizes and rank of ``(w1_a · w1_b) ∘ (w2_a · w2_b)``."""
    first, second = (
        _pair(shapes, f"hada_w{number}_a", f"hada_w{number}_b", label) for number in (1, 2)
    )
    if first != second:
        raise InputError(f"{label}: the two products of its LoHa differ: {first}, {second}")
    return first


def _pair(
    shapes: Mapping[str, Shape], left: str, right: str, label: str
) -> tuple[tuple[int, int], int]:
    """Sizes and rank of ``left · right``, ``[out,rank]`` and ``[rank,in]``."""
    for part in (left, right):
        if part not in shapes:
            raise InputError(f"{label}: has no {_NAMES.get(part, part)}, which is half of it")
    rows, columns = shapes[left], shapes[right]
    if len(rows) < 2 or len(columns) < 2 or math.prod(rows[2:]) != 1 or not columns[0]:
        raise InputError(f"{label}: its factors have the shapes {list(rows)} and {list(columns)}")
    if rows[1] != columns[0]:
        raise InputError(
            f"{label}: its ranks differ: {columns[0]} in {_NAMES.get(right, right)}, {rows[1]} in"
            f" {_NAMES.get(left, left)}"
        )
    return (rows[0], math.prod(columns[1:])), columns[0]


def _flat(shape: Shape, label: str, part: str) -> tuple[int, int]:
    if len(shape) < 2:
        raise InputError(f"{label}: {part} has the shape {list(shape)}; expected a matrix")
    return shape[0], math.prod(shape[1:])


def _kind(header: Header, changes: Iterable[Change]) -> str:
    """The kind of the whole file; kinds are not mixed, since peft knows one for each name."""
    kinds = {"DoRA" if "magnitude" in change.keys else change.kind for change in changes}
    if len(kinds) > 1:
        raise InputError(
            f"{header.label}: mixes the kinds {' and '.join(sorted(kinds))}, which is not applied"
        )
    return kinds.pop()

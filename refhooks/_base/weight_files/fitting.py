"""Laying the names of a file on those of a module, before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._base.weight_files.entries import DTYPES, EIGHT_BITS, shape_text
from refhooks._base.weight_files.reading import Reader
from refhooks._base.weight_files.scales import MARKER, Companions, Scale, checked_scale, companions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from refhooks._base.weight_files.entries import Entry, WeightFile

    Convert = Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]]

__all__ = ["Fit", "fit"]

PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.", "model.")
MAX_QUANT = 4096  # bytes that a layer may say of how it was quantised
_LORA = ("lora_a.", "lora_b.", "lora_up.", "lora_down.", "lokr_", "hada_w", "dora_scale")
_FOREIGN = {
    "bitsandbytes__": "quantised by bitsandbytes",
    ".qweight": "quantised for kernels of its own (Nunchaku, GPTQ or AWQ)",
}


@attrs.frozen(eq=False)
class Fit:
    """How a file fills a module.

    Attributes:
        entries: The tensors that are read, by their names without the prefix.
        kinds: Their dtypes, where it is not that of the entry.
        scales: Those of scaled weights, by the same names.
        convert: Turns names and tensors into the module's; ``None``: they are.
        left: How many tensors of other models are in the file.
        marks: Names that say something of the model and hold nothing.
    """

    entries: Mapping[str, Entry]
    kinds: Mapping[str, str]
    scales: Mapping[str, Scale]
    convert: Convert | None
    left: int
    marks: frozenset[str]


def fit(
    file: WeightFile, state: Mapping[str, torch.Tensor], convert: Convert | None, model: str
) -> Fit:
    """Return how a file fills a module.

    Args:
        file: Its header was read.
        state: The module's weights and buffers by name, whatever they hold.
        convert: Turns the tensors of another layout into the module's own; ``None``: none does.
        model: How messages name the module.

    Raises:
        ModelError: It is of another model, has too much, too little, or other shapes, or a scale is
            missing or wrong; the message names the file and says what.
    """
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    whole = {name for name, value in state.items() if not value.is_floating_point()}
    prefix = _prefix(file, shapes)
    names = {
        name.removeprefix(prefix): entry
        for name, entry in file.entries.items()
        if name.startswith(prefix) or name == MARKER or _is_mark(name)
    }
    marks = frozenset(name for name in names if _is_mark(name))
    with file.path.open("rb", buffering=0) as opened:
        reader = Reader(file, opened)
        beside = companions(file, names, prefix, _told(file, names, reader))
        kept = {
            name: entry
            for name, entry in names.items()
            if name in shapes or name not in {*beside.ignored, *beside.scales.values(), *marks}
        }
        chosen = _converting(file, kept, shapes, convert, model)
        kinds = {name: _kind(file, name, entry, beside) for name, entry in kept.items()}
        scales = _scales(file, names, kept, beside, reader)
    for name, kind in kinds.items():
        if file.form != "gguf" and name not in {*whole, *scales} and not _is_float(kind):
            raise file.error(f"{name!r:.120} is {kind}, which is no dtype of weights")
    return Fit(kept, kinds, scales, chosen, len(file.entries) - len(names), marks)


def _prefix(file: WeightFile, shapes: Mapping[str, Any]) -> str:
    """The prefix by which most names fit; what stands beside it is of other models."""
    probes = [next(iter(shapes)), max(shapes, key=len)]
    prefixes = dict.fromkeys(PREFIXES)
    for name in file.entries:
        for probe in probes:
            if name.endswith(f".{probe}"):
                prefixes.setdefault(name.removesuffix(probe))

    def fitting(prefix: str) -> tuple[int, int]:
        under = [name for name in file.entries if name.startswith(prefix)]
        direct = sum(name.removeprefix(prefix) in shapes for name in under)
        return direct, len(under) * bool(prefix)

    return max(prefixes, key=fitting)


def _told(file: WeightFile, names: Mapping[str, Entry], reader: Reader) -> dict[str, bytes]:
    told = {}
    for name, entry in names.items():
        if name.endswith(".comfy_quant"):
            if entry.kind != "U8" or entry.size > MAX_QUANT:
                raise file.error(f"damaged: {entry.name!r:.120} is no short text")
            told[name] = reader.raw(entry).numpy().tobytes()
    return told


def _converting(
    file: WeightFile,
    kept: Mapping[str, Entry],
    shapes: Mapping[str, tuple[int, ...]],
    convert: Convert | None,
    model: str,
) -> Convert | None:
    """Whether names must be converted to fit; raises where they do not even then."""
    own = {name: entry.shape for name, entry in kept.items()}
    converted = {} if convert is None or own.keys() == shapes.keys() else _shapes(convert, own)
    if sum(name in shapes for name in converted) > sum(name in shapes for name in own):
        _check(file, converted, shapes, model)
        return convert
    _check(file, own, shapes, model)
    return None


def _shapes(convert: Convert, own: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Try a conversion on tensors that hold nothing."""
    hollow = {name: torch.empty(shape, device="meta") for name, shape in own.items()}
    try:
        return {name: tuple(value.shape) for name, value in convert(hollow).items()}
    except Exception:  # noqa: BLE001  it is made for files of one kind, and this may be any
        return {}


def _check(
    file: WeightFile,
    own: Mapping[str, tuple[int, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    model: str,
) -> None:
    fitting = own.keys() & shapes.keys()
    more = [name for name in own if name not in shapes]
    missing = [name for name in shapes if name not in own]
    if more or missing:
        raise file.error(_misfit(own, more, missing, len(fitting), len(shapes), model))
    wrong = [name for name in shapes if own[name] != shapes[name]]
    if wrong:
        first = wrong[0]
        others = f", and {len(wrong) - 1} others differ" if wrong[1:] else ""
        raise file.error(
            f"made for a model of another size: {first!r:.120} is {shape_text(own[first])} in it"
            f" and {shape_text(shapes[first])} in {model}{others}"
        )


def _misfit(
    own: Mapping[str, Any], more: list[str], missing: list[str], fitting: int, all_: int, model: str
) -> str:
    lower = [name.lower() for name in own]
    if any(mark in name for name in lower for mark in _LORA):
        return "a LoRA, not a model; give it as one (--lora)"
    for mark, what in _FOREIGN.items():
        if any(mark in name for name in lower):
            return f"{what}, which is not read; scaled fp8 and int8, and GGUF are"
    if fitting < all_ / 2:
        return (
            f"the weights of another model: {fitting} of its {len(own)} tensors have a place in"
            f" {model}, which has {all_}; {(more or missing)[0]!r:.120} has none"
        )
    if missing:
        return (
            f"not whole: {len(missing)} of the {all_} weights of {model} are missing in it, such as"
            f" {missing[0]!r:.120}" + (f", and {len(more)} others are too many" if more else "")
        )
    return f"{len(more)} of its tensors have no place in {model}, such as {more[0]!r:.120}"


def _kind(file: WeightFile, name: str, entry: Entry, beside: Companions) -> str:
    """The dtype of an entry; a byte is a float of eight bits where the file says so."""
    if file.form == "gguf" or entry.kind != "U8":
        return entry.kind
    said = beside.formats.get(name.rpartition(".")[0], {}).get("format", "")
    for form, kind in {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}.items():
        if said.startswith(form):
            return kind
    return entry.kind


def _scales(
    file: WeightFile,
    names: Mapping[str, Entry],
    kept: Mapping[str, Entry],
    beside: Companions,
    reader: Reader,
) -> dict[str, Scale]:
    scales = {}
    for name, entry in kept.items():
        scale = beside.scales.get(name)
        if scale is None:
            _check_unscaled(file, entry, beside)
            continue
        if not _is_float(names[scale].kind):
            raise file.error(f"the scale of {name!r:.120} is {names[scale].kind}, no float")
        said = beside.formats.get(name.rpartition(".")[0], {})
        checked = checked_scale(file, entry, reader.plain(names[scale]), said)
        if checked is not None:
            scales[name] = checked
    return scales


def _is_mark(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_float(kind: str) -> bool:
    return DTYPES[kind].is_floating_point


def _check_unscaled(file: WeightFile, entry: Entry, beside: Companions) -> None:
    """A weight without a scale is right in a file that has none at all, and is a float there."""
    if file.form == "gguf":
        return
    matrix = len(entry.shape) > 1
    if entry.kind == "I8" or (entry.kind in EIGHT_BITS and matrix and beside.scaled):
        raise file.error(f"the scale of {entry.name!r:.120} ({entry.kind}) is missing")

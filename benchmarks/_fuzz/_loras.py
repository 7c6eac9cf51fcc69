"""LoRA files: headers, keys, shapes and values; what is added is taken off again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import strategies as st
from safetensors.torch import save

from _fuzz._model import editor
from _fuzz._odd import changed, damaged, scalars, trees
from _fuzz._watch import LeftError
from refhooks._base.weight_files.safetensors_header import ITEM_BYTES

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = ("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_out.0")
RANK, INPUTS, OUTPUTS = 2, 16, 16
NOTE = {"transformer.r": RANK, "transformer.lora_alpha": 4, "transformer.use_rslora": True,
        "transformer.alpha_pattern": {LAYERS[0]: 8}}  # fmt: skip
ENDS = ("lora_A.weight", "lora_B.weight", "lora_down.weight", "alpha", "lora_A.default.weight",
        "diff", "dora_scale", "lokr_w1", "lokr_w2_a", "hada_w1_a", "lora_B.bias", "diff_b", "x",
        "oft_blocks", "weight", "lora_magnitude_vector")  # fmt: skip


def _draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def good() -> list[bytes]:
    """Return whole files of the kinds and layouts that are applied."""
    down, up = _draw(RANK, INPUTS), _draw(OUTPUTS, RANK)
    flat = [f"lora_unet_{name.replace('.', '_')}" for name in LAYERS]
    pair = {"lora_A.weight": down, "lora_B.weight": up}
    loha = {"hada_w1_a": up, "hada_w1_b": down, "hada_w2_a": up, "hada_w2_b": down}
    loha["alpha"] = torch.tensor(1.0)
    lokr = {"lokr_w1": _draw(4, 4), "lokr_w2_a": _draw(4, 2), "lokr_w2_b": _draw(2, 4)}
    kinds: list[tuple[list[str], dict[str, Any], dict[str, str] | None]] = [
        ([f"transformer.{name}" for name in LAYERS], pair, None),
        ([f"transformer.{name}" for name in LAYERS], pair,
         {"lora_adapter_metadata": json.dumps(NOTE), "ss_network_alpha": "4"}),
        (flat, {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(4.0)}, None),
        ([*LAYERS], {**pair, "dora_scale": _draw(OUTPUTS, 1)}, None),
        ([*LAYERS], loha, None), ([*LAYERS], lokr, None),
        ([*LAYERS], {"diff": _draw(OUTPUTS, INPUTS), "diff_b": _draw(OUTPUTS)}, None),
        ([*LAYERS], {**pair, "lora_B.bias": _draw(OUTPUTS)}, None),
    ]  # fmt: skip
    return [
        save({f"{name}.{end}": it.clone() for name in names for end, it in parts.items()}, notes)
        for names, parts, notes in kinds
    ]


def split(data: bytes) -> tuple[Any, bytes]:
    """Return the header of a file and its tensors' bytes."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def joined(header: Any, data: bytes) -> bytes:
    """Return the file of a header and tensors' bytes."""
    text = json.dumps(header, default=str).encode()
    return len(text).to_bytes(8, "little") + text + data


@st.composite
def headers(draw: Any) -> bytes:
    """A file whose header holds tensors of random names, dtypes and shapes, most in place."""
    header: dict[str, Any] = {}
    at = 0
    for _ in range(draw(st.integers(1, 5))):
        stem = draw(st.sampled_from((*LAYERS, "norm", "", "lora_te_text.x")))
        shape = draw(st.lists(st.sampled_from((0, 1, 2, 16, 2**20, 2**62)), max_size=3))
        dtype = draw(st.sampled_from(sorted(ITEM_BYTES)))
        count = ITEM_BYTES[dtype]
        for side in shape:
            count *= side
        end = at + count if count < 2**12 else at + draw(st.integers(0, 64))
        key = f"{stem}.{draw(st.sampled_from(ENDS))}"
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(
            st.sampled_from(("lora_adapter_metadata", "ss_network_alpha", "format")),
            scalars | trees.map(lambda it: json.dumps(it, default=str)), max_size=2,
        ))  # fmt: skip
    return joined(header, bytes(at))


@st.composite
def _near_file(draw: Any, whole: list[bytes]) -> bytes:
    """A file of which one thing in the header, the metadata or the bytes is other than it was."""
    data = draw(st.sampled_from(whole))
    how = draw(st.sampled_from(("header", "bytes", "notes")))
    if how == "bytes":
        return damaged(draw, data)
    header, tensors = split(data)
    if how == "header":
        return joined(changed(draw, header), tensors)
    note = json.dumps(changed(draw, NOTE), default=str)
    return joined({**header, "__metadata__": {"lora_adapter_metadata": note}}, tensors)


class Loras:
    """What ``add_lora`` reads."""

    name = "loras"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model = editor().pipe.transformer
        self._clean = self._state()
        noise = st.tuples(st.integers(0, 200), st.binary(max_size=200))
        bare = noise.map(lambda it: it[0].to_bytes(8, "little") + it[1])
        trees_ = trees.map(lambda tree: joined(tree, b"\0" * 16))
        self.random = headers() | headers() | trees_ | bare
        self.good = good()
        self.near = _near_file(self.good)

    def run(self, data: bytes) -> None:
        """Add the file and take it off; either way the model is what it was, to the bit."""
        place = self._folder / "case.safetensors"
        place.write_bytes(data)
        try:
            name = editor().add_lora(place)
            editor().loras  # noqa: B018  asks for its hash and scale
            editor().remove_lora(name)
        finally:
            place.unlink()
            if self._state() != self._clean:
                raise LeftError("the model is not what it was")

    def _state(self) -> str:
        """All that the model is made of: modules, parameters to the bit, what learns, configs."""
        told = hashlib.sha256()
        for name, part in self._model.named_modules():
            told.update(f"{name} {type(part).__name__}".encode())
        for name, value in self._model.named_parameters():
            told.update(f"{name} {value.requires_grad} {value.dtype}".encode())
            told.update(value.detach().contiguous().view(torch.uint8).numpy())
        told.update(repr(sorted(getattr(self._model, "peft_config", None) or {})).encode())
        return told.hexdigest()

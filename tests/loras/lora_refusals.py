"""Files that are refused, with what is said of them; the page lists them all."""

from __future__ import annotations

import json

import torch

from refhooks._base.weight_files.safetensors_header import MAX_HEADER

LAYER = "transformer_blocks.0.attn.to_q"
DOWN, UP = torch.ones(4, 32), torch.ones(32, 4)
KEYS = {f"{LAYER}.lora_A.weight": DOWN, f"{LAYER}.lora_B.weight": UP}


def bent(**changes):
    """Return the file's tensors with others in their place; ``None`` takes one away."""
    tensors = {**KEYS, **{f"{LAYER}.{key}": value for key, value in changes.items()}}
    return {key: value for key, value in tensors.items() if value is not None}


def of(**parts):
    """Return the tensors of a layer alone; two underscores stand for a dot."""
    return {f"{LAYER}.{part.replace('__', '.')}": value for part, value in parts.items()}


NAN = torch.full((4, 32), float("nan"))
WAN = {
    f"lora_unet_blocks_{block}_{part}.lora_{half}.weight": torch.zeros(4, 4)
    for block in range(40)
    for part in ("self_attn_q", "self_attn_k", "ffn_0")
    for half in ("down", "up")
}
BENT = {
    "a magnitude of one number": (
        bent(dora_scale=torch.tensor(1.0)),
        r"its DoRA is one number; expected the shape \[32, 1\]",
    ),
    "tensors of something else": ({"x": DOWN}, "none of its 1 tensors is named as a LoRA's"),
    "a whole checkpoint": ({f"{LAYER}.weight": DOWN}, "none of its 1 tensors"),
    "a LoRA for another model": (
        WAN,
        "does not fit: 0 of its 120 layers have a place in QwenImage",
    ),
    "a LoRA for a deeper model": (
        {key.replace(".0.", f".{n}."): value for n in range(1, 9) for key, value in KEYS.items()},
        "1 of its 8 layers have a place",
    ),
    "a LoRA for a wider model": (
        {f"{LAYER}.lora_A.weight": torch.ones(4, 64), f"{LAYER}.lora_B.weight": torch.ones(64, 4)},
        "is for a layer of 64 to 64, the model's transformer_blocks.0.attn.to_q is 32 to 32",
    ),
    "the second factor is missing": (
        {f"{LAYER}.lora_A.weight": DOWN},
        r"has no lora_B \(lora_up\), which is half of it",
    ),
    "the first factor is missing": (
        {f"{LAYER}.lora_B.weight": UP},
        r"has no lora_A \(lora_down\), which is half",
    ),
    "ranks that differ": (
        {**KEYS, f"{LAYER}.lora_B.weight": torch.ones(32, 8)},
        "its ranks differ: 4 in",
    ),
    "a rank of 0": (
        of(lora_A__weight=torch.ones(0, 32), lora_B__weight=torch.ones(32, 0)),
        "have the shapes",
    ),
    "factors that are no matrices": (
        of(lora_A__weight=torch.ones(4), lora_B__weight=torch.ones(4)),
        "the shapes",
    ),
    "NaN": ({**KEYS, f"{LAYER}.lora_A.weight": NAN}, r"lora_A\.weight holds NaN or infinity"),
    "infinity": (
        {**KEYS, f"{LAYER}.lora_B.weight": torch.full((32, 4), float("inf"))},
        "holds NaN or inf",
    ),
    "integers for weights": (
        {**KEYS, f"{LAYER}.lora_A.weight": DOWN.to(torch.int8)},
        "is I8; expected floats",
    ),
    "an alpha of 0": (
        bent(alpha=torch.tensor(0.0)),
        "alpha is 0; expected a finite number that is not",
    ),
    "an alpha of NaN": (bent(alpha=torch.tensor(float("nan"))), "alpha is nan"),
    "several numbers for alpha": (bent(alpha=torch.ones(2)), "alpha must be one number"),
    "an alpha alone": (of(alpha=torch.ones(1)), "has alpha and no weights"),
    "a layer twice": (
        {**KEYS, **{f"diffusion_model.{key}": value for key, value in KEYS.items()}},
        "are one layer",
    ),
    "a bias of another size": (bent(**{"lora_B.bias": torch.ones(7)}), r"bias has the shape \[7\]"),
    "DoRA over inputs": (bent(dora_scale=torch.ones(1, 32)), "is a DoRA over inputs"),
    "DoRA of another layer": (
        bent(dora_scale=torch.ones(7, 1)),
        "its DoRA is for 7 outputs, not 32",
    ),
    "DoRA on some layers": (
        {
            **bent(dora_scale=torch.ones(32, 1)),
            **{key.replace("to_q", "to_k"): value for key, value in KEYS.items()},
        },
        "mixes the kinds DoRA and LoRA",
    ),
    "two kinds in one file": (
        {
            **KEYS,
            f"{LAYER[:-1]}k.lokr_w1": torch.ones(2, 2),
            f"{LAYER[:-1]}k.lokr_w2": torch.ones(16, 16),
        },
        "mixes the kinds LoKr and LoRA",
    ),
    "LoKr with DoRA": (
        of(lokr_w1=torch.ones(2, 2), lokr_w2=torch.ones(16, 16), dora_scale=torch.ones(32, 1)),
        "is a LoKr with .*dora_scale, which is not applied",
    ),
    "half a LoKr": (of(lokr_w1=torch.ones(2, 2)), "has no lokr_w2_a, which is half of it"),
    "a LoKr for a wider model": (
        of(lokr_w1=torch.ones(2, 2), lokr_w2=torch.ones(32, 16)),
        "32 to 64",
    ),
    "half a LoHa": (
        of(hada_w1_a=UP, hada_w1_b=DOWN, hada_w2_a=UP),
        "has no hada_w2_b, which is half",
    ),
    "LoCon with a Tucker core": (
        {**KEYS, f"{LAYER}.lora_mid.weight": DOWN},
        "of the kind a Tucker decomposition",
    ),
    "LoKr with a Tucker core": (of(lokr_t2=DOWN), "of the kind a Tucker"),
    "OFT": (of(oft_blocks=torch.ones(2, 2, 2)), "of the kind OFT, which is not applied"),
    "OFT of peft": (of(oft_R__default__weight=torch.ones(2, 2)), "of the kind OFT"),
    "IA3": (of(on_input=torch.ones(1), weight=torch.ones(32)), "of the kind IA3"),
    "GLoRA": (of(a1__weight=DOWN), "of the kind GLoRA"),
    "VeRA": (of(vera_lambda_b=torch.ones(32)), "of the kind VeRA"),
    "a LoRA for text encoders alone": (
        {
            "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": DOWN,
            "text_encoder.model.layers.0.q_proj.lora_A.weight": DOWN,
        },
        "all of its 2 tensors are for a text encoder",
    ),
}


def write(path, told, data=b"", length=None):
    """Write a file by hand."""
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def entry(begin=0, end=512, shape=(4, 32), dtype="F32"):
    """Return a header of one tensor."""
    return {f"{LAYER}.lora_A.weight": {
        "dtype": dtype, "shape": list(shape), "data_offsets": [begin, end],
    }}  # fmt: skip


BROKEN = {
    "an empty file": lambda path: path.write_bytes(b""),
    "a web page, saved": lambda path: path.write_bytes(b"<!DOCTYPE html><html>404</html>"),
    "a Git LFS pointer": lambda path: path.write_bytes(
        b"version https://git-lfs.github.com/spec/v1\n"
    ),
    "a pickle file, renamed": lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 64),
    "a header beyond the file": lambda path: write(path, b"{}", length=2**60),
    "a header beyond the cap": lambda path: write(path, b"{" + b" " * (MAX_HEADER + 1)),
    "a header that is no JSON": lambda path: write(path, b"{]"),
    "a header that is no table": lambda path: write(path, [1]),
    "a header nested too deep": lambda path: write(path, b"[" * 100_000),
    "a file cut off": lambda path: write(path, entry(), b"\0" * 100),
    "more bytes than the header names": lambda path: write(path, entry(), b"\0" * 1000),
    "tensors that overlap": lambda path: write(
        path, {**entry(), "y": entry()[f"{LAYER}.lora_A.weight"]}
    ),
    "a shape that its bytes do not fill": lambda path: write(
        path, entry(shape=(4, 33)), b"\0" * 512
    ),
    "negative sizes": lambda path: write(path, entry(shape=(-4, -32)), b"\0" * 512),
    "a dtype that there is not": lambda path: write(path, entry(dtype="F1"), b"\0" * 512),
    "a tensor without a place": lambda path: write(path, {"x": {"dtype": "F32", "shape": [1]}}),
    "an entry that is no tensor": lambda path: write(path, {"x": 3}),
    "no tensors": lambda path: write(path, {}),
}

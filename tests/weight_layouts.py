"""Every layout of a transformer's file that is read or refused: how it is written, what it gives.

The tests of ``core/models`` load each of them, and ``docs/write_files_table.py`` lists them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import gguf
import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = dict[str, torch.Tensor]
COMFY = "model.diffusion_model."
FP8, E5M2, INT8 = torch.float8_e4m3fn, torch.float8_e5m2, torch.int8
LARGEST = {FP8: 448.0, E5M2: 57344.0, INT8: 127.0}


class Layout(NamedTuple):
    """A layout that is read.

    Attributes:
        file: What users have, for the table of the page.
        keys: How it is recognised.
        gives: What comes of it.
        write: Writes a state into a file and returns, in float32, the weights that it should give.
        suffix: Of the file.
        warns: What is said of it.
    """

    file: str
    keys: str
    gives: str
    write: Callable[[State, Path], State]
    suffix: str = ".safetensors"
    warns: str = ""


class Refused(NamedTuple):
    """A file that is refused: as above, and what the message says."""

    file: str
    keys: str
    says: str
    write: Callable[[State, Path], Any]
    suffix: str = ".safetensors"


def as_text(text: str) -> torch.Tensor:
    """As ``comfy_quant`` holds it."""
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def save(tensors: State, path: Path, **metadata: str) -> None:
    """Write a file, whatever views the tensors are."""
    own = {name: value.clone().contiguous() for name, value in tensors.items()}
    save_file(own, path, metadata=metadata or None)


def coded(value: torch.Tensor, kind: torch.dtype, scale: torch.Tensor) -> torch.Tensor:
    """Its codes."""
    divided = (value.float() / scale).clamp(-LARGEST[kind], LARGEST[kind])
    return divided.round().to(kind) if kind == INT8 else divided.to(kind)


def largest(value: torch.Tensor, shape: str) -> torch.Tensor:
    """The largest magnitude of each part that has a scale of its own, laid over the whole."""
    rows, columns = value.shape
    size = {"tensor": (rows, columns), "row": (1, columns), "column": (rows, 1),
            "block": (16, 16), "group": (1, 16)}[shape]  # fmt: skip
    size = (min(rows, size[0]), min(columns, size[1]))
    parts = value.abs().float().unfold(0, size[0], size[0]).unfold(1, size[1], size[1])
    return parts.amax((-1, -2)).clamp_min(1e-6)


def laid(scale: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A scale for each value."""
    repeats = [whole // parts for whole, parts in zip(value.shape, scale.shape, strict=True)]
    return scale.repeat_interleave(repeats[0], 0).repeat_interleave(repeats[1], 1)


def scaled(
    kind: torch.dtype,
    shape: str = "tensor",
    *,
    key: str = "weight_scale",
    prefix: str = "",
    form: Callable[[torch.Tensor], torch.Tensor] = lambda scale: scale,
    beside: Callable[[str], State] = lambda _layer: {},
    also: State | None = None,
    metadata: Callable[[list[str]], dict[str, str]] = lambda _layers: {},
    container: torch.dtype | None = None,
) -> Callable[[State, Path], State]:
    """Write every matrix in eight bits with its scales."""

    def write(state: State, path: Path) -> State:
        tensors, expected, layers = dict(also or {}), {}, []
        for name, value in state.items():
            layer, _, leaf = name.rpartition(".")
            if value.ndim != 2 or leaf != "weight":
                tensors[prefix + name], expected[name] = value, value.float()
                continue
            layers.append(prefix + layer)
            scale = largest(value, shape) / LARGEST[kind]
            codes = coded(value, kind, laid(scale, value))
            expected[name] = codes.float() * laid(scale, value)
            tensors[prefix + name] = codes if container is None else codes.view(container)
            tensors[f"{prefix}{layer}.{key}"] = form(scale)
            tensors |= {f"{prefix}{layer}.{own}": it for own, it in beside(layer).items()}
        save(tensors, path, **metadata(layers))
        return expected

    return write


def number(scale: torch.Tensor) -> torch.Tensor:
    """Of one value, without axes."""
    return scale.reshape(())


def plain(prefix: str = "", dtype: torch.dtype | None = None, also: State | None = None):
    """Write the weights as they are, or cast."""

    def write(state: State, path: Path) -> State:
        cast = {name: value if dtype is None else value.to(dtype) for name, value in state.items()}
        save({**{prefix + name: value for name, value in cast.items()}, **(also or {})}, path)
        return {name: value.float() for name, value in cast.items()}

    return write


def quantised(kind: str, prefix: str = ""):
    """Write a GGUF: matrices whose rows are whole blocks in this type, all else in F32."""

    def write(state: State, path: Path) -> State:
        from diffusers.quantizers.gguf.utils import GGUFParameter, dequantize_gguf_tensor

        number = gguf.GGMLQuantizationType[kind]
        block = gguf.GGML_QUANT_SIZES[number][0]
        writer = gguf.GGUFWriter(str(path), "qwen_image")
        writer.add_array("general.tags", ["image-to-image", "edit"])
        expected = {}
        for name, value in state.items():
            values = value.float().numpy()
            if values.ndim == 2 and values.shape[1] % block == 0:
                data = gguf.quants.quantize(values, number)
                writer.add_tensor(prefix + name, data, raw_dtype=number)
                held = torch.from_numpy(data.copy())
                if kind == "F16":
                    expected[name] = held.float()
                else:
                    held = GGUFParameter(held, quant_type=number)
                    expected[name] = dequantize_gguf_tensor(held).float()
            else:
                writer.add_tensor(prefix + name, values)
                expected[name] = value.float()
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return expected

    return write


def comfy_quant(form: str, **more: object):
    """What newer files hold beside each layer."""
    text = json.dumps({"format": form, **more})
    return lambda _layer: {"comfy_quant": as_text(text), "input_scale": torch.tensor(1.0)}


def in_header(form: str):
    """What newer files say in their header."""
    return lambda layers: {
        "_quantization_metadata": json.dumps({
            "format_version": "1.0",
            "layers": {
                **{layer: {"format": form} for layer in layers},
                "text_encoders.layers.0.q": {"format": "nvfp4"},  # of another model in the file
            },
        })
    }  # fmt: skip


def rounded_scales(state: State, path: Path) -> State:
    """Scales that were rounded before they were applied."""
    rounded = {}

    def form(scale: torch.Tensor) -> torch.Tensor:
        rounded[len(rounded)] = scale.to(torch.bfloat16)
        return scale.reshape(()).to(torch.bfloat16)

    expected = scaled(FP8, form=form)(state, path)
    scales = iter(rounded.values())
    for name, value in state.items():
        if value.ndim == 2:
            own = largest(value, "tensor") / LARGEST[FP8]
            expected[name] = coded(value, FP8, own).float() * next(scales).float()
    return expected


OTHERS = {"vae.conv1.weight": torch.ones(2, 2), "text_encoders.qwen.norm.weight": torch.ones(2)}
APPLIED = "scales applied"
LAYOUTS = {
    "plain": Layout("bf16, fp16 or fp32", "the model's own names", "as it is", plain()),
    "comfy": Layout(
        "from ComfyUI", "`model.diffusion_model.` before each name", "as it is", plain(COMFY)
    ),
    "diffusion_model": Layout(
        "from ComfyUI", "`diffusion_model.`", "as it is", plain("diffusion_model.")
    ),
    "transformer": Layout("from trainers", "`transformer.`", "as it is", plain("transformer.")),
    "other prefix": Layout("others", "any other prefix", "as it is", plain("net.module.")),
    "all in one": Layout(
        "all-in-one checkpoint",
        "also `vae.`, `text_encoders.` …",
        "the transformer is taken, the rest ignored, with a warning",
        plain(COMFY, also=OTHERS),
        warns="tensors besides the transformer's",
    ),
    "fp8": Layout("fp8 without scales", "`F8_E4M3`, no scale at all", "cast", plain(COMFY, FP8)),
    "fp8 e5m2": Layout("fp8 without scales", "`F8_E5M2`", "cast", plain("", E5M2)),
    "scaled fp8 of ComfyUI": Layout(
        "scaled fp8 of ComfyUI (`fp8_scaled`)",
        "`scaled_fp8`, `scale_weight`, `scale_input`",
        f"{APPLIED}; scales of inputs change no weight",
        scaled(FP8, key="scale_weight", prefix=COMFY, form=number,
               beside=lambda _: {"scale_input": torch.tensor(2.0)},
               also={f"{COMFY}scaled_fp8": torch.empty(0, dtype=FP8)}),
    ),
    "scaled fp8": Layout(
        "scaled fp8",
        "`weight_scale`, `input_scale`",
        APPLIED,
        scaled(FP8, form=number, beside=lambda _: {"input_scale": torch.tensor(2.0)}),
    ),
    "scaled fp8 with comfy_quant": Layout(
        "newer files of ComfyUI",
        "`comfy_quant` beside each layer: `float8_e4m3fn`",
        APPLIED,
        scaled(FP8, form=number, prefix=COMFY, beside=comfy_quant("float8_e4m3fn")),
    ),
    "scaled fp8 in bytes": Layout(
        "the same",
        "codes kept as `U8`",
        APPLIED,
        scaled(FP8, form=number, beside=comfy_quant("float8_e4m3fn"), container=torch.uint8),
    ),
    "scaled fp8 by its header": Layout(
        "the same",
        "`_quantization_metadata` in the header",
        APPLIED,
        scaled(FP8, form=number, prefix=COMFY, metadata=in_header("float8_e4m3fn"),
               container=torch.uint8),
    ),
    "scaled fp8 e5m2": Layout("scaled fp8", "`F8_E5M2`", APPLIED, scaled(E5M2, form=number)),
    "fp8 by rows": Layout(
        "scaled fp8", "a scale a row: `[N]`", APPLIED, scaled(FP8, "row", form=torch.flatten)
    ),
    "fp8 by rows of one": Layout("scaled fp8", "`[N,1]`", APPLIED, scaled(FP8, "row")),
    "fp8 by columns": Layout("scaled fp8", "`[1,K]`", APPLIED, scaled(FP8, "column")),
    "fp8 by blocks": Layout(
        "scaled fp8",
        "a scale a block: `weight_scale_inv`, or `[N/b,K/b]`",
        APPLIED,
        scaled(FP8, "block", key="weight_scale_inv"),
    ),
    "fp8 by groups": Layout(
        "scaled fp8 of musubi-tuner",
        "`scale_weight` `[N,K/b,1]`",
        APPLIED,
        scaled(FP8, "group", key="scale_weight", form=lambda scale: scale.unsqueeze(-1)),
    ),
    "fp8 with scales in bf16": Layout(
        "scaled fp8", "scales in bf16 or fp16", APPLIED,
        rounded_scales,
    ),
    "int8": Layout(
        "scaled int8",
        "`I8` and `weight_scale`; `int8_tensorwise`",
        APPLIED,
        scaled(INT8, form=number, beside=comfy_quant("int8_tensorwise")),
    ),
    "int8 by rows": Layout("scaled int8", "a scale a row", APPLIED, scaled(INT8, "row")),
    "int8 by blocks": Layout(
        "scaled int8",
        "`int8_blockwise`",
        APPLIED,
        scaled(INT8, "block", beside=comfy_quant("int8_blockwise", group_size=16)),
    ),
    "GGUF Q8_0": Layout(
        "GGUF",
        "`Q2_K` … `Q8_0`, `IQ4_NL`, `IQ4_XS`",
        "kept quantised in linear layers (`GGUFQuantizationConfig` of diffusers), dequantised"
        " elsewhere",
        quantised("Q8_0"),
        ".gguf",
    ),
    "GGUF Q4_0": Layout(
        "GGUF", "with a prefix", "the same", quantised("Q4_0", COMFY), ".gguf"
    ),
    "GGUF BF16": Layout("GGUF", "`BF16`, `F16`, `F32`", "as it is", quantised("BF16"), ".gguf"),
    "GGUF F16": Layout("GGUF", "`F16`", "as it is", quantised("F16"), ".gguf"),
}  # fmt: skip


def lora(state: State, path: Path) -> None:
    """The file of a LoRA."""
    name = next(name.removesuffix(".weight") for name in state if name.endswith("to_q.weight"))
    save(
        {f"{name}.lora_A.weight": torch.ones(4, 32), f"{name}.lora_B.weight": torch.ones(32, 4)},
        path,
    )


def renamed(old: str, new: str):
    """The weights under other names."""
    return lambda state, path: save({it.replace(old, new): state[it] for it in state}, path)


REFUSED = {
    "nvfp4": Refused(
        "NVFP4, MXFP8, W4A4 …",
        "`comfy_quant`: `nvfp4`",
        "is quantised as nvfp4, which is not read",
        scaled(FP8, form=number, beside=comfy_quant("nvfp4")),
    ),
    "convrot": Refused(
        "rotated int8 (ConvRot)",
        "`comfy_quant`: `convrot`",
        "is quantised as int8_tensorwise, rotated, which is not read",
        scaled(INT8, form=number, beside=comfy_quant("int8_tensorwise", convrot=True)),
    ),
    "bitsandbytes": Refused(
        "bitsandbytes nf4",
        "`quant_state.bitsandbytes__nf4`",
        "quantised by bitsandbytes, which is not read",
        renamed("to_q.weight", "to_q.weight.quant_state.bitsandbytes__nf4"),
    ),
    "Nunchaku": Refused(
        "Nunchaku (SVDQuant), GPTQ, AWQ",
        "`qweight`",
        "quantised for kernels of its own",
        renamed(".weight", ".qweight"),
    ),
    "LoRA": Refused("a LoRA", "`lora_A`, `lora_down`, `lokr_w1` …", "a LoRA, not a model", lora),
    "another model": Refused(
        "another model",
        "names that the model does not have",
        "the weights of another model",
        renamed("transformer_blocks.", "double_blocks."),
    ),
    "pickle": Refused(
        "`.ckpt`, `.pt`, `.pth`, `.bin`",
        "pickles",
        "can run code when it is read",
        torch.save,
        ".pt",
    ),
    "part": Refused(
        "one of several",
        "`-00001-of-00003`",
        "part 1 of 3, not a whole file",
        plain(),
        "-00001-of-00003.safetensors",
    ),
}  # fmt: skip

"""Files of weights that are damaged, hostile or of something else: one sentence, nothing loaded."""

from __future__ import annotations

import io
import json
import struct
import time

import pytest
import torch
from safetensors.torch import save_file

import refhooks as rh
from refhooks._base.weight_files.filling import check_gguf, fill
from refhooks._base.weight_files.fitting import fit
from refhooks._base.weight_files.opening import open_weights
from refhooks._base.weight_files.safetensors_header import read_safetensors_header
from refhooks._base.weight_files.sources import Source

FP8 = torch.float8_e4m3fn
SHAPES = {"img_in.weight": (8, 4), "img_in.bias": (8,), "blocks.0.attn.to_q.weight": (8, 8),
          "blocks.0.attn.to_k.weight": (8, 8)}  # fmt: skip
STATE = {name: torch.zeros(shape) for name, shape in SHAPES.items()}


def safetensors(header, data=b"", length=None):
    """The bytes of a file, whatever its header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    """What a header says of one."""
    return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


def text(value):
    """A text of a GGUF."""
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(tensors=1, keys=0, told=b"", version=3):
    """The bytes of a GGUF, whatever its counts say."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + told


def gguf_tensor(axes=(32,), kind=8, offset=0, data=b"\0" * 34):
    """One tensor, Q8_0 if nothing else is said."""
    told = text("x") + struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, kind, offset)
    head = 24 + len(told)
    return told + b"\0" * (-head % 32) + data


DAMAGED = {
    "empty": (".safetensors", b"", "cut off: it has 0 bytes"),
    "seven bytes": (".safetensors", b"1234567", "cut off: it has 7 bytes"),
    "only a length": (".safetensors", struct.pack("<Q", 100), "says that it is 100 bytes long"),
    "a header of 5 GB": (".safetensors", safetensors({}, length=5 * 2**30), "5368709120 bytes"),
    "a header of 2^64 - 1": (".safetensors", safetensors({}, length=2**64 - 1), "not a safe"),
    "no JSON": (".safetensors", safetensors(b"not json at all"), "header is no JSON"),
    "nested": (".safetensors", safetensors(b"[" * 90_000), "header is no JSON"),
    "a list": (".safetensors", safetensors([1, 2]), "no table of tensors"),
    "metadata of another type": (
        ".safetensors", safetensors({"__metadata__": 3, **tensor()}, b"\0" * 8), "no table"),
    "no tensor": (".safetensors", safetensors({}), "holds 0 tensors"),
    "cut off": (".safetensors", safetensors(tensor(), b"\0" * 7), "'x' would end at"),
    "an unknown dtype": (".safetensors", safetensors(tensor("F4"), b"\0" * 8), "dtype 'F4'"),
    "a dtype that is no text": (".safetensors", safetensors(tensor([1]), b"\0" * 8), r"\[1\]"),
    "a shape of 2^62": (
        ".safetensors", safetensors(tensor(shape=(2**62, 2**62)), b"\0" * 8), "has 8 bytes for"),
    "a negative shape": (".safetensors", safetensors(tensor(shape=(-2, -1)), b"\0" * 8), "says no"),
    "a shape of floats": (".safetensors", safetensors(tensor(shape=(2.0,)), b"\0" * 8), "says no"),
    "offsets the wrong way": (
        ".safetensors", safetensors(tensor(offsets=(8, 0)), b"\0" * 8), "has -8 bytes"),
    "no offsets": (".safetensors", safetensors({"x": {"dtype": "F32"}}), "says no shape or place"),
    "a tensor that is a number": (".safetensors", safetensors({"x": 3}), "says no shape or place"),
    "data that nothing names": (
        ".safetensors", safetensors(tensor(), b"\0" * 4096), "take 8 of 4104 bytes|take 8 of 4096"),
    "tensors that share bytes, and bytes that none has": (
        ".safetensors", safetensors({**tensor(), "y": tensor()["x"]}, b"\0" * 16),
        "'y' begins within another"),
    "a dtype that no weight has": (
        ".safetensors", safetensors(tensor("U16", shape=(4,)), b"\0" * 8), "'x' is U16, which is"),
    "a web page": (".safetensors", b"<!DOCTYPE html><html>" + b" " * 99, "a web page"),
    "a pointer": (".safetensors", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    "a zip": (".safetensors", b"PK\x03\x04" + b"\0" * 99, "a pickle"),
    "a pickle": (".safetensors", b"\x80\x02}q\x00X" + b"\0" * 99, "a pickle"),
    "a GGUF cut in its head": (".gguf", b"GGUF\x03\0", "cut off, or not a GGUF"),
    "of version 1": (".gguf", gguf(version=1), "version 1"),
    "big-endian": (".gguf", gguf(version=0x03000000), "version 50331648"),
    "2^60 tensors": (".gguf", gguf(2**60), "says 1152921504606846976 tensors"),
    "2^60 keys": (".gguf", gguf(1, 2**60), "1152921504606846976 keys"),
    "no tensors": (".gguf", gguf(0), "says 0 tensors"),
    "a text of 2^60 bytes": (".gguf", gguf(1, 1, struct.pack("<Q", 2**60)), "a text of its header"),
    "a list of 2^60 values": (
        ".gguf", gguf(1, 1, text("a") + struct.pack("<IIQ", 9, 0, 2**60)), "the list 'a'"),
    "a list of texts to its end": (
        ".gguf", gguf(1, 1, text("a") + struct.pack("<IIQ", 9, 8, 2**20)), "cut off"),
    "a list of lists": (
        ".gguf", gguf(1, 1, text("a") + struct.pack("<IIQ", 9, 9, 2)), "the list 'a'"),
    "an unknown value": (".gguf", gguf(1, 1, text("a") + struct.pack("<I", 77)), "the type 77"),
    "99 axes": (".gguf", gguf(1, 0, text("x") + struct.pack("<I", 99)), "has 99 axes"),
    "an unknown type": (".gguf", gguf(1, 0, gguf_tensor(kind=99)), "the type 99"),
    "rows that are no blocks": (".gguf", gguf(1, 0, gguf_tensor((31,))), "blocks of 32"),
    "data cut off": (".gguf", gguf(1, 0, gguf_tensor(data=b"\0" * 33)), "cut off: it has"),
    "an offset beyond": (".gguf", gguf(1, 0, gguf_tensor(offset=2**62)), "cut off: it has"),
    "axes of 2^60": (".gguf", gguf(1, 0, gguf_tensor((32, 2**60))), "cut off: it has"),
    "aligned to nothing": (
        ".gguf",
        gguf(1, 1, text("general.alignment") + struct.pack("<II", 4, 0) + gguf_tensor()),
        "aligned to 0"),
    "a type that is not read": (
        ".gguf", gguf(1, 0, gguf_tensor((256,), 16, data=b"\0" * 66)), "IQ2_XXS, which diffusers"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_at_once(tmp_path, name):
    """In one sentence that begins with the file, whatever its counts say."""
    suffix, data, says = DAMAGED[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    began = time.perf_counter()

    with pytest.raises(rh.ModelError, match=says) as error:
        check_gguf(open_weights(path))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))
    assert time.perf_counter() - began < 30


def test_a_large_file_whose_header_says_little(tmp_path):
    """It is not read: its header accounts for 8 of 3 GB."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(tensor(), b"\0" * 8))
    with path.open("r+b") as file:
        file.truncate(3 * 2**30)

    with pytest.raises(rh.ModelError, match="damaged: its tensors take 8 of"):
        open_weights(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.ckpt", "can run code"),
        ("model.pt", "can run code"),
        ("model.pth", "can run code"),
        ("model.bin", "can run code"),
        ("model.PT", "can run code"),
        ("model.txt", "only .safetensors and .gguf"),
        ("model", "only .safetensors and .gguf"),
        ("missing.safetensors", "there is no such file"),
        ("missing.gguf", "there is no such file"),
        ("x\0y.gguf", "no such file|cannot be read"),
        ("x" * 300 + ".gguf", "no such file|cannot be read"),
        ("model-00002-of-00005.gguf", "part 2 of 5"),
        ("diffusion_pytorch_model.safetensors.index.json", "the index of several files"),
        (".", "a folder, where one file"),
    ],
)
def test_what_is_no_single_file_is_refused(tmp_path, name, says):
    """By its name, before it is read."""
    if not name.startswith(("missing", "x", ".")):
        (tmp_path / name).write_bytes(b"{}")

    with pytest.raises(rh.ModelError, match=says):
        open_weights(tmp_path / name)


def test_one_of_one_is_a_whole_file(tmp_path):
    """As some programs name it."""
    path = tmp_path / "model-00001-of-00001.safetensors"
    save_file({"x": torch.ones(2)}, path)

    assert list(open_weights(path).entries) == ["x"]


def weights(**changes):
    """A file that fits, with changes; ``None`` takes one out."""
    state = {name: torch.ones(shape) for name, shape in SHAPES.items()} | changes
    return {name: value for name, value in state.items() if value is not None}


Q, K = "blocks.0.attn.to_q.weight", "blocks.0.attn.to_k.weight"
CODES, INT8 = torch.ones(8, 8).to(FP8), torch.ones(8, 8).to(torch.int8)


def with_scale(scale, codes=CODES, key="weight_scale"):
    """A file in which one weight has a scale."""
    return weights(**{Q: codes, Q.replace("weight", key): scale})


UNFIT = {
    "a weight is missing": (weights(**{Q: None}), f"1 of the 4 weights of .* such as '{Q}'"),
    "a weight is too many": (weights(other=torch.ones(1)), "1 of its tensors have no place"),
    "another shape": (weights(**{Q: torch.ones(8, 9)}), f"'{Q}' is 8x9 in it and 8x8 in"),
    "more other shapes": (
        weights(**{Q: torch.ones(4, 4), K: torch.ones(4, 4)}), "and 1 others differ"),
    "nothing fits": ({"a.b": torch.ones(2)}, "0 of its 1 tensors have a place in"),
    "bytes": (weights(**{Q: torch.ones(8, 8).to(torch.uint8)}), "is U8, which is no dtype"),
    "whole numbers": (weights(**{Q: torch.ones(8, 8).long()}), "is I64, which is no dtype"),
    "int8 without a scale": (weights(**{Q: INT8}), r"scale of '.*to_q.weight' \(I8\) is missing"),
    "one scale of two": (
        with_scale(torch.tensor(1.0)) | {K: CODES.clone()},
        r"'.*to_k.weight' \(F8_E4M3\) is missing"),
    "a mark and no scale": (
        weights(**{Q: CODES, "scaled_fp8": torch.zeros(2).to(FP8)}), "is missing"),
    "zero": (with_scale(torch.tensor(0.0)), "holds 0.0; expected finite numbers above 0"),
    "one zero": (with_scale(torch.arange(8.0)), "holds 0.0"),
    "negative": (with_scale(torch.tensor(-1.0)), "holds -1.0"),
    "NaN": (with_scale(torch.tensor(float("nan"))), "holds nan"),
    "infinite": (with_scale(torch.tensor(float("inf"))), "holds inf"),
    "empty": (with_scale(torch.ones(0)), "is empty"),
    "another count": (with_scale(torch.ones(7)), "has the shape 7; expected one number, 8"),
    "no blocks": (with_scale(torch.ones(3, 5)), "has the shape 3x5"),
    "more than weights": (with_scale(torch.ones(9, 9)), "has the shape 9x9"),
    "too many axes": (with_scale(torch.ones(2, 2, 2)), "has the shape 2x2x2"),
    "whole scales": (with_scale(torch.ones((), dtype=torch.int32)), "is I32, no float"),
    "of a weight that is no code": (
        with_scale(torch.tensor(0.5), torch.ones(8, 8)), "has a scale, but is F32"),
    "two scales": (
        with_scale(torch.ones(())) | {Q.replace("weight", "scale_weight"): torch.ones(())},
        "has two scales"),
    "comfy_quant that is no JSON": (
        weights(**{Q.replace("weight", "comfy_quant"): torch.ones(9).to(torch.uint8)}), "no JSON"),
    "comfy_quant of another dtype": (
        weights(**{Q.replace("weight", "comfy_quant"): torch.ones(9)}), "is no short text"),
}  # fmt: skip


QUANTISED = {
    "no JSON": ("{", "no JSON"),
    "half a character": ('"\\ud800"', "no table"),
    "a number": ("3", "no table"),
    "layers that are a list": ('{"layers": [1]}', ""),
    "a layer that is a text": ('{"layers": {"blocks.0.attn.to_q": "nvfp4"}}', "is no table"),
    "a format that is a number": (
        '{"layers": {"blocks.0.attn.to_q": {"format": 4}}}', "quantised as 4, which is not read"),
    "a format that is not read": (
        '{"layers": {"x.blocks.0.attn.to_q": {"format": "mxfp8"}}}', "quantised as mxfp8"),
    "of another model": ('{"layers": {"text.q": {"format": "nvfp4"}}}', ""),
}  # fmt: skip


@pytest.mark.parametrize("name", QUANTISED)
def test_what_a_header_says_of_layers(tmp_path, name):
    """Is believed as little as all else."""
    told, says = QUANTISED[name]
    path = tmp_path / "model.safetensors"
    tensors = {f"x.{key}": value for key, value in weights().items()}
    save_file(tensors, path, metadata={"_quantization_metadata": told})
    file = open_weights(path)

    if says:
        with pytest.raises(rh.ModelError, match=says):
            fit(file, STATE, None, "x")
    else:
        assert fit(file, STATE, None, "x").entries.keys() == STATE.keys()


@pytest.mark.parametrize("name", UNFIT)
def test_a_file_that_does_not_fit_says_why(tmp_path, name):
    """In one sentence that begins with the file; nothing is read but scales."""
    tensors, says = UNFIT[name]
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)

    with pytest.raises(rh.ModelError, match=says) as error:
        fit(open_weights(path), STATE, None, "Model of owner/name")
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value)) < 500 + len(str(path))


@pytest.mark.parametrize(("size", "says"), [(4096, "no JSON"), (4097, "is no short text")])
def test_what_a_layer_says_of_itself_is_short(tmp_path, size, says):
    """4,096 bytes are read, one more is not."""
    told = {Q.replace("weight", "comfy_quant"): torch.full((size,), ord("x"), dtype=torch.uint8)}
    save_file(weights(**told), tmp_path / "m.safetensors")

    with pytest.raises(rh.ModelError, match=says):
        fit(open_weights(tmp_path / "m.safetensors"), STATE, None, "x")


def test_whole_numbers_stay_whole(tmp_path):
    """A buffer of them is filled as it is, beside weights in another dtype."""
    with torch.device("meta"):
        module = torch.nn.Linear(2, 3, bias=False)
        module.register_buffer("steps", torch.zeros(4, dtype=torch.int64))
    path = tmp_path / "m.safetensors"
    save_file({"weight": torch.ones(3, 2), "steps": torch.arange(4)}, path)
    file = open_weights(path)

    laid = fit(file, module.state_dict(), None, "x")
    fill(module, file, laid, dtype=torch.bfloat16, device=None)

    assert torch.equal(module.steps, torch.arange(4))
    assert (module.steps.dtype, module.weight.dtype) == (torch.int64, torch.bfloat16)


def test_scales_of_one_are_no_scales(tmp_path):
    """Of a weight that is no code."""
    save_file(with_scale(torch.tensor(1.0), torch.ones(8, 8)), tmp_path / "m.safetensors")

    assert fit(open_weights(tmp_path / "m.safetensors"), STATE, None, "x").scales == {}


def test_a_vector_of_codes_needs_no_scale(tmp_path):
    """Where matrices have one."""
    tensors = with_scale(torch.tensor(0.5)) | {"img_in.bias": torch.ones(8).to(FP8)}
    save_file(tensors, tmp_path / "m.safetensors")

    assert list(fit(open_weights(tmp_path / "m.safetensors"), STATE, None, "x").scales) == [Q]


@pytest.mark.parametrize(
    ("whole", "parts", "said", "expected"),
    [
        (300, 3, {}, 100),
        (300, 3, {"group_size": 128}, 128),
        (576, 5, {}, 128),
        (576, 5, {"block_size": 128}, 128),
        (257, 2, {}, 256),
        (70, 2, {}, 35),
        (71, 2, {}, 64),
        (8, 3, {}, 0),
    ],
)
def test_the_size_of_a_block(whole, parts, said, expected):
    """What the file says; else what divides; else the power of two that leaves a smaller last."""
    from refhooks._base.weight_files.scales import _block

    assert expected == _block(whole, parts, said)


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    """One sentence, and no crash."""
    from refhooks._base.weight_files.reading import Reader

    save_file({"x": torch.ones(4096)}, tmp_path / "m.safetensors")
    file = open_weights(tmp_path / "m.safetensors")
    with file.path.open("r+b") as opened:
        opened.truncate(4000)
    with (
        file.path.open("rb", buffering=0) as opened,
        pytest.raises(rh.ModelError, match="was cut off while it was read"),
    ):
        Reader(file, opened).plain(file.entries["x"])


@pytest.mark.parametrize("change", ["written", "gone", "none"])
def test_a_file_that_changed_since_has_no_hash(tmp_path, change):
    """What was loaded is not what is there."""
    path = tmp_path / "m.safetensors"
    save_file({"x": torch.ones(2)}, path)
    source = Source(open_weights(path))
    if change == "written":
        path.write_bytes(path.read_bytes() + b" ")
    elif change == "gone":
        path.unlink()

    assert (source.sha256() == "") == (change != "none")


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("F64", 8), ("F32", 4), ("F16", 2), ("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1),
        ("F8_E8M0", 1), ("I64", 8), ("I32", 4), ("I16", 2), ("I8", 1), ("U64", 8), ("U32", 4),
        ("U16", 2), ("U8", 1), ("BOOL", 1),
    ],
)  # fmt: skip
def test_a_tensor_has_as_many_bytes_as_its_dtype_takes(dtype, size):
    """Of every dtype that the format knows; one byte more or less is damage."""

    def read(length):
        data = safetensors(tensor(dtype, (3,), (0, length)), b"\0" * length)
        return read_safetensors_header(io.BytesIO(data), len(data), "x.safetensors")

    entries, _ = read(3 * size)

    assert list(entries) == ["x"]
    for wrong in (3 * size - 1, 3 * size + 1):
        with pytest.raises(rh.ModelError, match=r"x\.safetensors: .*x"):
            read(wrong)

"""Places of references, against a checkout of ComfyUI: the same weights, the largest difference.

    python benchmarks/comfyui.py TREE [--json benchmarks/results/comfyui.json]

``TREE`` is a checkout that you have; nothing of it is part of this project. It needs what ComfyUI
itself needs for its Qwen model (``pip install einops psutil``, and what its import then names).

A tiny random Qwen transformer is loaded into both. refhooks edits; what its transformer was given
in the first step, and what it returned, is caught, and ComfyUI's model is given the same latents,
text and timestep under each of its reference methods. Told is the largest difference of the
outputs, whose RMS is beside it: with refhooks' own names for that method (``like ComfyUI``), and
with positions as diffusers has them (``native``).
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import diffusers
import torch
from PIL import Image

import refhooks as rh
from refhooks.testing._tiny import tiny_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

WANTED: Final = 2e-6
PIXELS = 8  # of the tiny model, a token
TARGETS = {"even": (6, 8), "odd": (5, 7)}
REFERENCES = {
    "even": ((6, 4), (4, 6), (2, 4)), "odd": ((5, 3), (3, 7), (7, 5)),
    "larger": ((12, 8), (9, 15), (6, 20)),
}  # fmt: skip
METHODS: Final[dict[str, dict[str, str]]] = {
    "index": {},
    "offset": {"positions": "comfy-offset"},
    "uxo": {"positions": "comfy-offset"},
    "negative_index": {"positions": "negative"},
    "index_timestep_zero": {"modulate": "zero"},
}
ORIGIN = {"center": "floor", "text_start": "target"}


@attrs.frozen
class Call:
    """What a transformer was given, and what it returned.

    Attributes:
        target: ``[1,T,C]``.
        references: Likewise.
        text: ``[1,S,E]``.
        sigma: ``[1]``, 0–1.
        output: ``[1,T,C]``.
    """

    target: Tensor
    references: tuple[Tensor, ...]
    text: Tensor
    sigma: Tensor
    output: Tensor


class Beside:
    """Both models with the same weights.

    Args:
        tree: The checkout.
        zero: Whether the checkpoint is one like 2511, which modulates references at 0 by itself.
    """

    def __init__(self, tree: Path, *, zero: bool = False) -> None:
        self._editor = rh.Editor(tiny_pipeline("plus", "middle", zero_cond_t=zero))
        self._model = self._editor.pipe.transformer
        config = self._model.config
        self._other = _load(tree)(
            patch_size=2, in_channels=config.in_channels, out_channels=config.out_channels,
            num_layers=config.num_layers, attention_head_dim=config.attention_head_dim,
            num_attention_heads=config.num_attention_heads,
            joint_attention_dim=config.joint_attention_dim,
            axes_dims_rope=tuple(config.axes_dims_rope), dtype=torch.float32, device="cpu",
            operations=importlib.import_module("comfy.ops").disable_weight_init,
        )  # fmt: skip
        self._other.load_state_dict(self._model.state_dict())
        self._other.eval()

    def own(
        self,
        grid: tuple[int, int],
        references: Sequence[tuple[int, int]],
        options: dict[str, str],
        *,
        origin: bool,
    ) -> Call:
        """Edit, and return the first call of the transformer."""
        stage = rh.Stage(rh.load_registry().method("default", options), 1.0)
        pictures = [
            rh.Reference(_picture(number, each), stage, resolution="native")
            for number, each in enumerate(references)
        ]
        calls: list[Call] = []

        def caught(_module: Any, _args: Any, kwargs: Any, output: Any) -> None:
            rows = kwargs["hidden_states"].split(
                [grid[0] * grid[1], *[each[0] * each[1] for each in references]], dim=1
            )
            calls.append(
                Call(
                    rows[0], tuple(rows[1:]), kwargs["encoder_hidden_states"], kwargs["timestep"],
                    output[0][:, : rows[0].shape[1]],
                )
            )  # fmt: skip

        handle = self._model.register_forward_hook(caught, with_kwargs=True)
        plugins = [rh.load_registry().plugin("origin", ORIGIN)] if origin else []
        try:
            self._editor.edit(
                pictures[0] if pictures else None, "make it blue", references=pictures[1:],
                steps=2, cfg=1.0, seed=0, height=PIXELS * grid[0], width=PIXELS * grid[1],
                plugins=plugins,
            )  # fmt: skip
        finally:
            handle.remove()
        return calls[0]

    def theirs(
        self,
        call: Call,
        grid: tuple[int, int],
        references: Sequence[tuple[int, int]],
        method: str,
    ) -> Tensor:
        """Return what ComfyUI's model makes of the same call, ``[1,T,C]``."""
        given = [_spread(row, each) for row, each in zip(call.references, references, strict=True)]
        with torch.no_grad():
            output = self._other(
                _spread(call.target, grid), call.sigma, call.text,
                ref_latents=given or None, ref_latents_method=method,
            )  # fmt: skip
        return _packed(output, grid)


def _load(tree: Path) -> Any:
    """Return the class of ComfyUI's model; its device is the CPU."""
    if not (tree / "comfy" / "ldm" / "qwen_image" / "model.py").is_file():
        raise SystemExit(
            f"{tree} is no checkout of ComfyUI: it has no comfy/ldm/qwen_image/model.py"
        )
    sys.path.insert(0, str(tree))
    try:
        importlib.import_module("comfy.cli_args").args.cpu = True
        return importlib.import_module("comfy.ldm.qwen_image.model").QwenImageTransformer2DModel
    except ModuleNotFoundError as error:
        raise SystemExit(f"ComfyUI needs {error.name}: pip install {error.name}") from error


def _picture(number: int, grid: tuple[int, int]) -> Image.Image:
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (grid[0] * PIXELS, grid[1] * PIXELS, 3), generator=generator)
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def _spread(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """``[1,T,4c]`` as ``[1,c,1,2·rows,2·columns]``."""
    rows, columns = grid
    parts = tokens.unflatten(-1, (-1, 2, 2)).unflatten(1, (rows, columns))
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(1, -1, 1, 2 * rows, 2 * columns)


def _packed(latents: Tensor, grid: tuple[int, int]) -> Tensor:
    rows, columns = grid
    parts = latents.reshape(1, -1, rows, 2, columns, 2)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(1, rows * columns, -1)


def cells() -> Iterator[tuple[str, str, str, int]]:
    """Yield method, grid of the target, grids of the references, and their number."""
    for method in METHODS:
        for target in TARGETS:
            yield method, target, "none", 0
            for kind in REFERENCES:
                for count in (1, 2, 3):
                    yield method, target, kind, count


def measure(both: Beside, method: str, target: str, kind: str, count: int) -> dict[str, Any]:
    """Return the figures of a cell."""
    grid, references = TARGETS[target], REFERENCES.get(kind, ())[:count]
    row = {"method": method, "target": target, "references": kind, "count": count}
    for name, options, origin in (
        ("like ComfyUI", METHODS[method], True),
        ("native", {}, False),
    ):
        call = both.own(grid, references, options, origin=origin)
        theirs = both.theirs(call, grid, references, method)
        row[name] = float((call.output - theirs).abs().max())
    return {**row, "rms": float(theirs.square().mean().sqrt())}


def main() -> None:
    """Compare each cell, write the figures, and fail where one is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path, help="a checkout of ComfyUI")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    both = Beside(options.tree)
    rows = [measure(both, *cell) for cell in cells()]
    sys.path.insert(0, str(options.tree))

    found = {
        "command": "python benchmarks/comfyui.py TREE --json benchmarks/results/comfyui.json",
        "comfyui": _version(options.tree), "torch": torch.__version__,
        "diffusers": diffusers.__version__, "python": platform.python_version(), "rows": rows,
    }  # fmt: skip
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        largest = {name: max(row[name] for row in own) for name in ("like ComfyUI", "native")}
        print(f"{method:20} {largest['like ComfyUI']:.1e}   native {largest['native']:.1e}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    worst = max(rows, key=lambda row: row["like ComfyUI"])
    if worst["like ComfyUI"] > WANTED:
        raise SystemExit(f"more than {WANTED:g} apart: {worst}")


def _version(tree: Path) -> str:
    path = tree / "comfyui_version.py"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.split('"')[1] for line in lines if line.startswith("__version__")), "unknown")


if __name__ == "__main__":
    main()

"""Write the tables of docs/sizes.md: how each family resizes pictures, by its own code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

import refhooks as rh
from refhooks import Size
from refhooks._base.canvas import LEAST, MOST
from refhooks.testing._tiny import tiny_pipeline
from refhooks_flux2._tiny import tiny_dev, tiny_klein, tiny_kv
from refhooks_flux3._tiny import tiny_modular
from refhooks_kontext._tiny import tiny_pipeline as tiny_kontext
from refhooks_longcat._tiny import tiny_pipeline as tiny_longcat
from refhooks_qwen21._tiny import tiny_pipeline as tiny_21

if TYPE_CHECKING:
    from refhooks import Family

PAGE = Path(__file__).parent / "sizes.md"
BEGIN, END = "a test compares it -->\n", "<!-- end of sizes -->"
SOURCES = [(1024, 1024), (1000, 750), (1920, 1080), (4000, 3000), (600, 800)]
TOY_SOURCES = [(64, 64), (100, 75)]
RULES = (
    "| family | output and references, about | in steps of | `height`, `width` in steps of |"
    " `native` within |"
)
EXAMPLES = (
    "| family | picture | output unless you say | that stretches it | text encoder sees |"
    " with `native` the model works on |"
)
REAL_FACTOR = {"qwen-image-21": 16}
STEPS = {"flux-kontext": "a table of 17 sizes"}
HALF = ("longcat-image-edit",)  # which shows its text encoder the picture at half its sides
AS_KLEIN = ("flux2-klein-kv", "flux2-dev")  # which do as flux2-klein does


def families() -> dict[str, tuple[Family, list[tuple[int, int]]]]:
    """Return each family as it is with its released checkpoints, and pictures to show.

    A released VAE makes pictures 8 times smaller (16 times for 2.1); the tiny one is told so.
    """
    made: dict[str, tuple[Family, list[tuple[int, int]]]] = {}
    qwen = (tiny_pipeline("edit"), tiny_pipeline("plus"), tiny_21())
    flux2 = (tiny_klein(), tiny_kv(), tiny_dev())
    for pipe in (*qwen, *flux2, tiny_kontext(), tiny_longcat()):
        family = rh.Editor(pipe).family
        pipe.vae_scale_factor = REAL_FACTOR.get(family.name, 8)
        made[f"`{family.name}`"] = (family, [] if family.name in AS_KLEIN else SOURCES)
    flux3 = rh.Editor(tiny_modular())
    flux3.pipe.vae_scale_factor = 8
    flux3.pipe.image_processor.register_to_config(vae_scale_factor=16)
    made["`flux3`"] = (flux3.family, SOURCES)
    made["`toy`"] = (rh.Editor.from_pretrained("toy").family, TOY_SOURCES)
    return made


def _stretch(family: Any, source: tuple[int, int], size: Size) -> str:
    """By how much one pixel of the source grows along each side, and what is cut off."""
    if hasattr(family, "whole_size"):
        inner = family.cut(Size(source[1], source[0]), size)
        columns, rows = (size.width - source[0], size.height - source[1])
        if inner is not None:
            columns, rows = size.width - inner.inner.width, size.height - inner.inner.height
        scale = (size.width - columns) / source[0]
        scaled = "none" if scale == 1.0 else f"× {scale:.3f}"
        return f"{scaled}; {columns} columns and {rows} rows are filled up with its reflection"
    if hasattr(family, "cut_size"):
        scale = min(1.0, (family.area / (source[0] * source[1])) ** 0.5)
        columns, rows = int(source[0] * scale) - size.width, int(source[1] * scale) - size.height
        scaled = "none" if scale == 1.0 else f"× {scale:.3f}"
        return f"{scaled}; {columns} columns and {rows} rows are cut off"
    across, down = size.width / source[0], size.height / source[1]
    if across == down == 1.0:
        return "none"
    return f"× {across:.3f} across, × {down:.3f} down"


def _seen(family: Any, picture: Image.Image) -> str:
    if not family.takes_vision_area:
        return "nothing"
    if family.name in HALF:
        half = family.reference_size(picture, None)
        return f"{half.width // 2}x{half.height // 2}"
    area = getattr(family, "vision_area", None)
    if area is None:
        return "as the reference"
    return str(family.size_of(area, picture.width / picture.height))


def rules() -> str:
    """Return what each family prescribes, in Markdown."""
    rows = [RULES, "| --- " * 5 + "|"]
    for name, (family, _) in families().items():
        area = family.checkpoint.output or family.area
        side = round(area**0.5)
        most = "at most " if hasattr(family, "cut_size") else ""
        if hasattr(family, "whole_size"):
            most = "one picture whole, at most 2048×2048 = 4194304 pixels; of several "
        steps = family.multiple if most or family.name in HALF else STEPS.get(family.name, 32)
        low, high = round(LEAST * area), round(MOST * area)
        rows.append(
            f"| {name} | {most}{side}×{side} = {area} pixels | {steps} | {family.multiple} |"
            f" {low} to {high} pixels, else a warning |"
        )
    return "\n".join(rows)


def examples() -> str:
    """Return what becomes of pictures of some sizes, in Markdown."""
    rows = [EXAMPLES, "| --- " * 6 + "|"]
    for name, (family, sources) in families().items():
        for source in sources:
            picture = Image.new("RGB", source)
            size = family.output_size(picture, None, None, None)
            native = family.output_size(picture, None, None, "native")
            beside, below = native.width - source[0], native.height - source[1]
            rows.append(
                f"| {name} | {source[0]}x{source[1]} | {size} | {_stretch(family, source, size)} |"
                f" {_seen(family, picture)} | {native}: {beside} columns, {below} rows repeated |"
            )
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """Return the page with its tables replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:start]}{rules()}\n\n{examples()}\n{text[stop:]}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""Run the recipes of the cookbook as they stand, and make their pictures.

    python docs/make_cookbook.py

Run by ``make evidence``. The test of the page runs the same recipes.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from safetensors.torch import save_file

import refhooks as rh
from refhooks._base.contact_sheets import make_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Panels = dict[str, Image.Image]
    Names = dict[str, Any]

DOCS = Path(__file__).parent
PAGE = DOCS / "cookbook.md"
IMAGES = DOCS / "images"
BOOST = 1.3  # what the LoRA of the recipe adds to what is predicted, as a share of it


def recipes(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield each recipe's heading, its lines of Python, and the name of its picture."""
    for part in text.split("\n## ")[1:]:
        code = "".join(re.findall(r"^```python\n(.*?)^```$", part, re.MULTILINE | re.DOTALL))
        [picture] = re.findall(r"\(images/(cookbook-[\w-]+)\.png\)", part)
        yield part.split("\n", 1)[0], code, picture


def prepare(folder: Path, editor: rh.Editor) -> None:
    """Write what a reader has: the pictures of ``refhooks demo``, and a LoRA."""
    model = rh.load_registry().models["toy"]
    (folder / "demo").mkdir()
    for name, place in {"photo.png": model.samples()[0], **model.companions()}.items():
        shutil.copy(place, folder / "demo" / name)
    weight = editor.family.transformer.proj_out.weight.detach().float()  # [out,in]
    left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    parts = {"lora_A": right, "lora_B": BOOST * left * sizes}
    save_file(
        {f"transformer.proj_out.{name}.weight": it.contiguous() for name, it in parts.items()},
        folder / "style.safetensors",
    )


def run(editor: rh.Editor, text: str) -> Iterator[tuple[str, str, Names]]:
    """Run the recipes one after the other in the working folder.

    Yields:
        The heading, the picture's name, and the names that are known after it.
    """
    lines = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0].splitlines()
    names: Names = {"editor": editor}
    first = [line for line in lines if not line.startswith("editor = ")]  # it is loaded already
    exec("\n".join(first), names)  # noqa: S102  lines of our own page
    for heading, code, picture in recipes(text):
        exec(compile(code, heading, "exec"), names)  # noqa: S102  lines of our own page
        yield heading, picture, names


def _photo(name: str = "photo") -> Image.Image:
    return Image.open(f"demo/{name}.png").convert("RGB")


def _lora(names: Names) -> Panels:
    editor = names["editor"]
    editor.add_lora("style.safetensors", 1.0)
    whole = editor.edit(names["photo"], "make it sunset", steps=8, seed=0)
    editor.remove_lora("style")
    return {
        "without it": names["off"].image,
        "at 0.5": names["half"].image,
        "at 1": whole.image,
    }


def _found(names: Names) -> Panels:
    mask = Image.fromarray((names["found"] * 255).astype("uint8")).convert("RGB")
    return {"the photo": _photo(), "what was found": mask, "edited": names["green"].image}


def _strengths(names: Names) -> Panels:
    return {
        f"{strength:g}: edges {names['edges'][strength]:.2f}"
        + (", the best" if strength == names["best"] else ""): result.image
        for strength, result in names["tried"].items()
    }


PANELS: dict[str, Callable[[Names], Panels]] = {
    "face": lambda it: {
        "the photo": _photo(),
        "without a mask": it["free"].image,
        "the face kept": it["kept"].image,
    },
    "colour": lambda it: {"the photo": _photo(), "edited": it["blue"].image},
    "style": lambda it: {
        "the photo": _photo(),
        "Picture 2": _photo("style"),
        "without it": it["plain"].image,
        "with it": it["styled"].image,
    },
    "people": lambda it: {
        "the first": _photo(),
        "the second": _photo("style"),
        "both": it["both"].image,
    },
    "chain": lambda it: {
        "the photo": _photo(),
        **dict(zip(("blue", "and sad", "and sunset"), it["made"].images, strict=True)),
    },
    "prompts": lambda it: dict(zip(it["prompts"], it["ten"].images, strict=True)),
    "seeds": lambda it: {
        f"seed {seed}": image for seed, image in zip(it["six"].seeds, it["six"].images, strict=True)
    },
    "segmenter": _found,
    "lora": _lora,
    "few-steps": lambda it: {
        "strength 1": it["flat"].image,
        "1 to 0.3": it["four"].image,
    },
    "strength": _strengths,
}


def main() -> None:
    """Write the picture of each recipe."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), editor)
        os.chdir(folder)
        for _, picture, names in run(editor, PAGE.read_text(encoding="utf-8")):
            place = IMAGES / f"{picture}.png"
            if picture == "cookbook-methods":
                names["grid"].sheet.save(place, optimize=True)
            else:
                panels = PANELS[picture.removeprefix("cookbook-")](names)
                columns = min(len(panels), 6 if len(panels) <= 6 else 5)
                sheet = make_sheet(list(panels.values()), list(panels), columns=columns, tile=128)
                sheet.save(place, optimize=True)
        os.chdir(DOCS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

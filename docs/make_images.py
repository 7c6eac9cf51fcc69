"""Make the pictures of the README and the docs with the embedded model.

python docs/make_images.py
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from PIL import Image

import refhooks as rh
from refhooks._sheet import make_sheet
from refhooks.cli import main as command_line

IMAGES = Path(__file__).parent / "images"
METHODS = {
    "default": rh.method("default"),
    "cross_attn": rh.method("cross_attn"),
    "guidance": rh.method("guidance"),
    "inject add": rh.method("inject"),
    "inject blend": rh.method("inject", formula="blend"),
    "inject pull": rh.method("inject", formula="pull"),
}
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0)
PROMPT = "make it night"


def demo() -> None:
    """The before-and-after sheet of ``make demo``."""
    with tempfile.TemporaryDirectory() as folder:
        command_line(["demo", "--output", folder], standalone_mode=False)
        shutil.copy(Path(folder) / "before-after.png", IMAGES / "demo.png")


def strengths() -> None:
    """Every method at every strength, for one picture, prompt and seed."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = Image.open(next(iter(rh.load_registry().models["toy"].samples())))
    pictures, captions = [], []
    for name, method in METHODS.items():
        for strength in STRENGTHS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rh.RefhooksWarning)  # above 1.5 on purpose
                result = editor.edit(source, PROMPT, strategy=rh.Stage(method, strength), seed=0)
            pictures.append(result.image)
            captions.append(f"{name} {strength:g}")
    sheet = make_sheet(
        pictures, captions, title=f"“{PROMPT}”, by method and strength", columns=len(STRENGTHS),
        tile=128,
    )  # fmt: skip
    sheet.save(IMAGES / "strengths.png", optimize=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    IMAGES.mkdir(exist_ok=True)
    demo()
    strengths()

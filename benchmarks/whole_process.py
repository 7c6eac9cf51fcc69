"""What a whole process costs: ``refhooks edit`` beside a stock script, a grid beside single edits.

    python benchmarks/whole_process.py [--rounds 7] [--json benchmarks/results/whole_process.json]

``edit``: processor seconds of the command over those of a script of diffusers alone that makes the
same picture, both from start to end, in turns. The script takes the toy's folder and, as the
command does where torchvision is missing, refhooks' processor of still pictures. ``commands``:
``refhooks grid`` of 16 cells over 16 times ``refhooks edit``, as processes. ``grid``: 16 cells of
``Editor.grid``, by an editor that keeps encodings, over 16 calls of ``Editor.edit`` by one that
keeps none, in one process; ``seeds together``: with ``batch=4``. Ratios of processor time bear a
busy machine; figures are medians with the least and the most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _timing import write_json

import refhooks as rh
from refhooks.testing import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROMPT, STEPS = "make it night", 16
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
CELLS = 16
STOCK = """
import sys
import torch
from diffusers import (
    AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as module
from PIL import Image
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from refhooks_toy._processor import new_processor

root, source, output, steps = sys.argv[1:5]
options = {"torch_dtype": torch.float32, "local_files_only": True}
tokenizer = Qwen2Tokenizer.from_pretrained(root + "/tokenizer", local_files_only=True)
pipe = QwenImageEditPlusPipeline(
    scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(root + "/scheduler"),
    vae=AutoencoderKLQwenImage.from_pretrained(root + "/vae", **options),
    text_encoder=Qwen2_5_VLForConditionalGeneration.from_pretrained(
        root + "/text_encoder", dtype=torch.float32, local_files_only=True
    ),
    tokenizer=tokenizer, processor=new_processor(tokenizer),
    transformer=QwenImageTransformer2DModel.from_pretrained(root + "/transformer", **options),
)
module.VAE_IMAGE_SIZE = module.CONDITION_IMAGE_SIZE = 64 * 64
pipe.set_progress_bar_config(disable=True)
pipe(
    image=Image.open(source), prompt="make it night", negative_prompt=" ", true_cfg_scale=2.0,
    num_inference_steps=int(steps), generator=torch.Generator().manual_seed(0), height=64, width=64,
).images[0].save(output)
"""


def processor_seconds(command: Sequence[str]) -> float:
    """Return the processor time of a process, its own and the system's."""
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603  our own
    _, status, used = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{command[:4]} failed")
    return used.ru_utime + used.ru_stime


def ratios(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> dict[str, Any]:
    """Return the ratio of two times, measured in turns; the first round is left out."""
    pairs = []
    for turn in range(rounds + 1):
        first, second = (ours, theirs) if turn % 2 else (theirs, ours)
        times = {first: first(), second: second()}
        pairs.append((times[ours], times[theirs]))
    found = [own / other for own, other in pairs[1:]]
    return {
        "ratio": statistics.median(found), "least": min(found), "most": max(found),
        "seconds": [statistics.median(column) for column in zip(*pairs[1:], strict=True)],
    }  # fmt: skip


def whole_edit(folder: Path, source: Path, rounds: int) -> dict[str, Any]:
    """Return the command's processor time over the script's."""
    import refhooks_toy  # noqa: PLC0415

    root = Path(refhooks_toy.__file__).parent / "weights"
    ours = [sys.executable, "-m", "refhooks", "edit", str(source), PROMPT, "--seed", "0",
            "--steps", str(STEPS), "-o", str(folder / "ours.png")]  # fmt: skip
    theirs = [sys.executable, "-c", STOCK, str(root), str(source), str(folder / "theirs.png"),
              str(STEPS)]  # fmt: skip
    found = ratios(lambda: processor_seconds(ours), lambda: processor_seconds(theirs), rounds)
    return {**found, "same picture": same(folder / "ours.png", folder / "theirs.png")}


def commands(folder: Path, source: Path, rounds: int, steps: int) -> dict[str, Any]:
    """Return the processor time of `refhooks grid` with 16 cells over 16 times `refhooks edit`."""
    base = [sys.executable, "-m", "refhooks"]
    options = ["--seed", "0", "--steps", str(steps), "-o", str(folder / "one.png")]
    edit = [*base, "edit", str(source), PROMPT, "--method", "cross_attn", *options]
    strengths = ",".join(map(str, STRENGTHS))

    def cells() -> float:
        place = tempfile.mkdtemp(dir=folder)
        return processor_seconds(
            [*base, "grid", str(source), PROMPT, "--methods", "cross_attn", "--strengths",
             strengths, "--seeds", "0,1,2,3", "--steps", str(steps), "-o", f"{place}/grid.png"]
        )  # fmt: skip

    return ratios(cells, lambda: CELLS * processor_seconds(edit), rounds)


def same(one: Path, other: Path) -> bool:
    """Return whether two files hold the same pixels."""
    from PIL import Image  # noqa: PLC0415

    return Image.open(one).convert("RGB").tobytes() == Image.open(other).convert("RGB").tobytes()


def grid(source: Path, rounds: int, steps: int, batch: int) -> dict[str, Any]:
    """Return the processor time of 16 cells over that of 16 edits that keep nothing."""
    alone = rh.Editor.from_pretrained("toy", encodings_mib=0)
    shared = rh.Editor(alone.pipe, checkpoint=alone.checkpoint)
    alone.pipe.set_progress_bar_config(disable=True)
    seeds = range(4)

    def cells() -> float:
        shared.family.encodings.clear()
        start = time.process_time()
        shared.grid(
            source, PROMPT, methods=["cross_attn"], strengths=STRENGTHS, seeds=seeds, steps=steps,
            batch=batch,
        )  # fmt: skip
        return time.process_time() - start

    def singles() -> float:
        start = time.process_time()
        for seed in seeds:
            for strength in STRENGTHS:
                stage = rh.Stage("cross_attn", strength)
                alone.edit(source, PROMPT, strategy=stage, seed=seed, steps=steps)
        return time.process_time() - start

    return ratios(cells, singles, rounds)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=("edit", "commands", "grid"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", rh.RefhooksWarning)
    found: dict[str, Any] = {"steps": STEPS}
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "photo.png"
        picture(0, (64, 64)).save(source)
        if arguments.only in {None, "edit"}:
            found["edit"] = whole_edit(Path(place), source, arguments.rounds)
        if arguments.only in {None, "commands"}:
            found["commands"] = commands(Path(place), source, arguments.rounds, 8)
        if arguments.only in {None, "grid"}:
            found["grid"] = {
                f"{steps} steps{told}": grid(source, max(1, arguments.rounds // 2), steps, batch)
                for steps in (4, 8)
                for told, batch in (("", 1), (", seeds together", 4))
            }
    for name, figures in found.items():
        print(name, figures)
    if arguments.json is not None:
        write_json(found, arguments.json)


if __name__ == "__main__":
    main()

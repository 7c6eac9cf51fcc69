"""One of the processes of `test_parallel.py`: runs edits over all of them, and saves what came.

Usage: ``python parallel.py RANK FOLDER``, with ``tests`` and ``tests/rest`` on ``PYTHONPATH``
"""

from __future__ import annotations

import sys
from pathlib import Path

import plain
import tiny
import torch
from diffusers import ContextParallelConfig
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus

import refhooks as rh

PROCESSES = 2
HALF = plain.METHODS["content mask"]
ODD = rh.Strategy([rh.Stage("default")], masks=[rh.mask("0,0,25%,25%", kind="content")])
WAYS = {
    "no strategy": None,
    "default at 1": rh.Stage("default", 1.0),
    **plain.METHODS,
    "default above 1": rh.Stage("default", (0.6, 0.8, 1.2)),
    "switch": rh.Strategy([rh.Stage("inject", 0.6, until=0.5), rh.Stage("default")]),
    "one token": ODD,
    "recorded": rh.Stage("default"),
}
EVEN = "make it blue now!"  # an even number of tokens, which two processes can share


def build():
    """The model: as in the checkpoint 2511, which cuts one more thing in parts."""
    return tiny.build("plus", "middle", zero_cond_t=True)


def edits(pipe):
    """Latents of each way, or the type and message of what was raised, and how far it had come."""
    editor = plain.editor_for(pipe)
    found = {}
    for name, strategy in WAYS.items():
        calls = []
        handle = pipe.transformer.img_in.register_forward_pre_hook(lambda *_, c=calls: c.append(1))
        try:
            found[name] = editor.edit(
                plain.SOURCE, EVEN, strategy=strategy, seed=1, cfg=1.0,
                record_attention=name == "recorded",
            ).latents  # fmt: skip
        except rh.InputError as error:
            found[name] = (str(error), len(calls))
        finally:
            handle.remove()
    return found


def run(rank, folder):
    """Run as one of the processes."""
    torch.set_num_threads(1)
    pipeline_qwenimage_edit_plus.VAE_IMAGE_SIZE = plain.AREA
    pipeline_qwenimage_edit_plus.CONDITION_IMAGE_SIZE = plain.AREA
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=PROCESSES
    )
    torch.accelerator.device_count = lambda: 1  # diffusers divides by the number of accelerators
    pipe = build()
    pipe.transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=PROCESSES))
    found = {"stock": plain.stock(pipe, cfg=1.0, prompt=EVEN), **edits(pipe)}
    torch.save(found, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2])

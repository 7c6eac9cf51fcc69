"""That an edit asks no more of the device than the stock pipeline does.

    python benchmarks/same_work.py [--device cuda] [--json benchmarks/results/same_work.json]

The denoising loops of the stock pipeline and of edits with no strategy, and with ``default`` at 1,
on a tiny random model: every operator that PyTorch is asked for in all but the last step is
counted, with copies of tensors at least as large as the latents, operators for which the host waits
for a device, and the most bytes that lived at once. On CUDA, what PyTorch's own sync debug mode
reports is counted too.
"""

from __future__ import annotations

import argparse
import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _wide
import torch
from _watch import Watch

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS, BRANCHES = 4, 2
SIZE = 128
PROMPT = "make it blue"


class Watched:
    """All but the last step of a run's loop, watched.

    It begins at the first call of the transformer and ends at the first call of the last step, so
    that every step is seen whole.

    Args:
        pipe: Whose transformer is called.
    """

    def __init__(self, pipe: Any) -> None:
        self.watch = Watch(_latents(pipe))
        self.syncs = 0
        self._calls = 0
        self._stack = contextlib.ExitStack()
        self._handle = pipe.transformer.register_forward_pre_hook(self._called)

    def _called(self, *_: Any) -> None:
        self._calls += 1
        if self._calls == 1:
            self._stack.enter_context(self.watch)
            self._stack.enter_context(self._syncs_counted())
        elif self._calls == 1 + BRANCHES * (STEPS - 1):
            self._stack.close()
            self._handle.remove()

    @contextlib.contextmanager
    def _syncs_counted(self) -> Iterator[None]:
        if not torch.cuda.is_available():
            yield
            return
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")
        self.syncs = sum("synchroniz" in str(entry.message).lower() for entry in found)

    def figures(self) -> dict[str, Any]:
        """Return what was counted."""
        return {
            "operators": dict(sorted(self.watch.operators.items())),
            "large copies": dict(sorted(self.watch.copies.items())),
            "waits": self.watch.waits,
            "syncs": self.syncs,
            "peak bytes": self.watch.peak,
        }


def stock(pipe: Any, images: list[Any]) -> dict[str, Any]:
    """Return the figures of the stock pipeline."""
    watched = Watched(pipe)
    with _wide.stock_areas(SIZE * SIZE):
        pipe(
            image=images, prompt=PROMPT, negative_prompt=" ", true_cfg_scale=4.0, height=SIZE,
            width=SIZE, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
    return watched.figures()


def ours(pipe: Any, images: list[Any], strategy: Any) -> dict[str, Any]:
    """Return the figures of an edit."""
    area = SIZE * SIZE
    checkpoint = rh.Checkpoint(output=area, reference=area, vision=area)
    editor = rh.Editor(pipe, checkpoint=checkpoint)
    watched = Watched(pipe)
    first, *others = images
    editor.edit(
        first, PROMPT, strategy=strategy, cfg=4.0, height=SIZE, width=SIZE, steps=STEPS, seed=1,
        references=[rh.Reference(image, strategy) for image in others],
    )  # fmt: skip
    return watched.figures()


def _latents(pipe: Any) -> int:
    tokens = (SIZE // (2 * pipe.vae_scale_factor)) ** 2
    return int(tokens * pipe.transformer.config.in_channels)


def compared(pipe: Any, references: int = 2) -> dict[str, dict[str, Any]]:
    """Return the figures of stock, of no strategy and of ``default`` at 1."""
    from refhooks.testing._tiny import picture  # noqa: PLC0415

    images = [picture(seed, (SIZE, SIZE)) for seed in range(references)]
    ours(pipe, images, None)  # warm-up: tables are made once
    return {
        "stock": stock(pipe, images),
        "no strategy": ours(pipe, images, None),
        "default at 1": ours(pipe, images, "default"),
    }


def main() -> None:
    """Print the figures, and write them if asked."""
    from refhooks.testing._tiny import tiny_pipeline  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = compared(tiny_pipeline("plus", "large").to(arguments.device))
    base = found["stock"]
    for name, figures in found.items():
        more = {
            operator: count - base["operators"].get(operator, 0)
            for operator, count in figures["operators"].items()
            if count != base["operators"].get(operator, 0)
        }
        print(
            f"{name}: {sum(figures['operators'].values())} operators,"
            f" {sum(figures['large copies'].values())} copies as large as the latents,"
            f" {figures['waits']} waits, {figures['syncs']} syncs,"
            f" peak {figures['peak bytes'] / base['peak bytes']:.4f} of stock; beside stock: {more}"
        )
    if arguments.json:
        _wide.write_json({"steps": STEPS, "figures": found}, arguments.json)


if __name__ == "__main__":
    main()

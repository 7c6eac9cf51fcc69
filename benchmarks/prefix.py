"""Qwen-Image 2.1: what strength costs on its kept keys and values, and what keeping them saves.

    python benchmarks/prefix.py [--blocks 2 --side 32 --steps 16 --repeats 7] [--json FILE]

A run with two references on ``QwenImage21Transformer2DModel`` with the width and heads of the real
model (4096 in 32 heads of 128), random weights and a few of its 32 blocks; text encoder and VAE are
tiny and stand outside of what is timed. In every round each case runs once, in an order that
rotates: the stock pipeline, the stock pipeline with its cache off, and ``cross_attn`` with a
strength from .4 to 1 on one of the references. Seconds are those of a whole run's steps, from the
first call of the transformer to the end of the last step.

Printed are medians of the ratios within a round: the strength over stock, which is to be at most
1.05, and stock without its cache over the strength, which is to reach 88 % of the limit that counts
operations alone. Beside each stands what ``refhooks.cost`` predicts.

With ``--json`` every finished round is written, and a run that was stopped goes on where it was, if
the options are the same; those of another run are not written over.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch
from _timing import interleaved, over, synchronise, write_json
from diffusers import QwenImage21Transformer2DModel
from diffusers.models.transformers.transformer_qwenimage21 import (
    QwenImage21Rope,
    QwenImage21TemporalTimesteps,
)

import refhooks as rh
from refhooks import testing
from refhooks_qwen21 import _text
from refhooks_qwen21._shape import shape
from refhooks_qwen21._tiny import WIDTH, tiny_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PIXELS = 16  # of a token's side
STRENGTH = "0.4:1.0"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MOST, LEAST = 1.05, 0.88  # over stock; of the limit by operations


def wide(options: Any) -> Any:
    """Return a pipeline whose transformer is as wide as the real one."""
    pipe = tiny_pipeline(dtype=DTYPES[options.dtype])
    rows = options.head * 7 // 32 * 2
    axes = (options.head - 2 * rows, rows, rows)
    with torch.device("meta"):
        transformer = QwenImage21Transformer2DModel(
            in_channels=4, out_channels=4, num_layers=options.blocks, axes_dims_rope=axes,
            attention_head_dim=options.head, num_attention_heads=options.heads,
            context_in_dim=WIDTH,
        )  # fmt: skip
    transformer = transformer.to(DTYPES[options.dtype]).to_empty(device=options.device)
    transformer.pos_embed = QwenImage21Rope(theta=10000, axes_dim=list(axes))
    transformer.time_text_embed.time_proj = QwenImage21TemporalTimesteps(256).to(options.device)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.normal_(std=0.02) if weight.ndim > 1 else weight.fill_(1.0)
    pipe.transformer = transformer.eval()
    return pipe.to(options.device)


class Bench:
    """Runs of one size.

    Args:
        options: Of the command line.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self._side = options.side * PIXELS
        self._pipe = wide(options)
        self._pictures = [testing.picture(n, (self._side, self._side)) for n in range(2)]
        template = self._text_tokens("")
        letters = max(1, options.text - template)  # each is a token of the tiny tokenizer
        self._prompt = ("make it night " * letters)[:letters]
        area = self._side**2
        self._editor = rh.Editor(self._pipe, checkpoint=rh.Checkpoint(reference=area))
        self._start = 0.0

    def cases(self) -> dict[str, Callable[[], float]]:
        """Return what is timed, by name."""
        return {
            "stock": lambda: self._timed(lambda: self._stock(cache=True)),
            "stock, cache off": lambda: self._timed(lambda: self._stock(cache=False)),
            "strength": lambda: self._timed(self._edit),
        }

    def predicted(self) -> rh.Cost:
        """Return what the strength should cost, in operations."""
        tokens = self._options.side**2
        size = attrs.evolve(
            shape(self._pipe.transformer.config), target=tokens, reference=tokens,
            text=self._text_tokens(self._prompt), dtype=self._options.dtype,
        )  # fmt: skip
        references = [rh.Reference("", rh.Stage("cross_attn", STRENGTH)), rh.Reference("")]
        return rh.cost(references, self._options.steps, shape=size)

    def _text_tokens(self, prompt: str) -> int:
        """How many tokens of text a prompt comes to, with its template and two pictures."""
        return _text.length(self._pipe, _text.filled(self._pipe, prompt, [1, 2], [1, 2]))

    def _timed(self, run: Callable[[], object]) -> float:
        self._start = 0.0
        handle = self._pipe.transformer.register_forward_pre_hook(self._called)
        try:
            run()
        finally:
            handle.remove()
        return self._stop - self._start

    def _called(self, *_: object) -> None:
        if not self._start:
            synchronise(self._options.device)
            self._start = time.perf_counter()

    def _stepped(self) -> None:
        synchronise(self._options.device)
        self._stop = time.perf_counter()

    def _stock(self, *, cache: bool) -> None:
        self._pipe(
            self._prompt, image=self._pictures, num_inference_steps=self._options.steps,
            height=self._side, width=self._side, output_resolution=self._side, use_kv_cache=cache,
            generator=torch.Generator().manual_seed(0), output_type="latent",
            callback_on_step_end=lambda _pipe, _step, _t, tensors: self._stepped() or tensors,
        )  # fmt: skip

    def _edit(self) -> None:
        first = rh.Reference(self._pictures[0], rh.Stage("cross_attn", STRENGTH))
        self._editor.edit(
            first, self._prompt, references=self._pictures[1:], steps=self._options.steps, seed=0,
            height=self._side, width=self._side, callback=lambda *_: self._stepped(),
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--side", type=int, default=32, help="rows and columns of tokens")
    parser.add_argument("--text", type=int, default=300, help="tokens, with the template")
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--head", type=int, default=128, help="head size")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dtype", choices=list(DTYPES), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    stated = {name: it for name, it in vars(options).items() if name not in {"json", "repeats"}}
    before = _done(options.json, stated) if options.json else {}
    bench = Bench(options)
    cost = bench.predicted()

    def note(seconds: Mapping[str, Sequence[float]]) -> None:
        if options.json:
            write_json(_result(stated, seconds, cost), options.json)

    seconds = interleaved(bench.cases(), options.repeats, before=before, after=note)
    result = _result(stated, seconds, cost)
    slower, faster = result["strength over stock"], result["cache off over strength"]
    limit = result["predicted, cache off"]
    print(f"strength over stock      {slower['median']:.3f}  (to be at most {MOST}; predicted "
          f"{cost.over_native:.3f})")  # fmt: skip
    print(f"cache off over strength  {faster['median']:.3f}  (limit by operations {limit:.3f}; "
          f"{faster['median'] / limit:.0%} of it, to be at least {LEAST:.0%})")  # fmt: skip
    return result


def _result(
    options: Mapping[str, Any], seconds: Mapping[str, Sequence[float]], cost: rh.Cost
) -> dict[str, Any]:
    """What is written: the seconds of every round, and what they come to."""
    return {
        "options": options,
        "seconds": seconds,
        "strength over stock": over(seconds, "strength", "stock"),
        "predicted, over stock": cost.over_native,
        "cache off over strength": over(seconds, "stock, cache off", "strength"),
        "predicted, cache off": 1.0 / (cost.over_unkept or 1.0),
    }


def _done(path: Path, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The rounds that a run with the same options has written."""
    if not path.exists():
        return {}
    written = json.loads(path.read_text(encoding="utf-8"))
    if written["options"] != options:
        raise SystemExit(f"{path} is of a run with other options; give another --json")
    seconds: dict[str, list[float]] = written["seconds"]
    return seconds


if __name__ == "__main__":
    main()

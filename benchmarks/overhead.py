"""What the hook machinery costs: host time inside the façade, and a whole edit against stock.

    python benchmarks/overhead.py [--repeats 9] [--json benchmarks/results/overhead.json]
    python benchmarks/overhead.py --profile     where the host's time goes

The first figure is the time spent in the façade (chains, calls, checks) per step, with a
transformer that returns at once. The second is the wall time of ``Editor.edit`` over that of the
stock pipeline's ``__call__`` with the same arguments: interleaved pairs in one process, the median
of the ratios and their spread. ``same_work.py`` compares what both ask of the device.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import platform
import pstats
import statistics
import sys
import time
import timeit
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import tiny

import refhooks as rh
from refhooks import testing
from refhooks._core.running import hooks

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 20
SIZE = 256
AREA = SIZE * SIZE


def facade_ms(strategy: Any, references: int) -> float:
    """Return the milliseconds per step inside the façade, median of 5 runs."""
    pipe = tiny.build("plus", "middle")
    pipe.transformer.forward = lambda hidden_states, **_: (hidden_states,)
    editor = _editor(pipe)
    spent: list[int] = []
    for name in ("step", "branches", "conditioning", "attention", "velocity"):
        setattr(hooks.Hooks, name, _timed(getattr(hooks.Hooks, name), spent))
    runs = []
    for _ in range(5):
        spent.clear()
        editor.edit(
            tiny.picture(), "make it blue", steps=STEPS, seed=1, strategy=strategy,
            references=[rh.Reference(tiny.picture(1), strategy)] * (references - 1),
        )  # fmt: skip
        runs.append(sum(spent) / 1e6 / STEPS)
    return statistics.median(runs)


def _timed(function: Callable[..., Any], spent: list[int]) -> Callable[..., Any]:
    original = getattr(function, "__wrapped__", function)

    def timed(*args: Any) -> Any:
        start = time.perf_counter_ns()
        try:
            return original(*args)
        finally:
            spent.append(time.perf_counter_ns() - start)

    timed.__wrapped__ = original  # type: ignore[attr-defined]
    return timed


def attribution_us() -> float:
    """Return the microseconds that naming its place adds to a call of a hook that does nothing."""
    ctx = testing.fake_steps()[0]
    values = {"ctx": ctx, "latents": None}
    plugin = hooks.BoundPlugin(object(), "method (reference 1, stage 1)")
    call = hooks._Call(lambda latents: latents, ("latents",), "refhooks_step", plugin)

    def named() -> None:
        call(ctx, values)
        call.place(ctx)

    def bare() -> None:
        call.function(*[values[name] for name in call.arguments])

    least = [min(timeit.repeat(function, number=500, repeat=2000)) for function in (named, bare)]
    return (least[0] - least[1]) / 500 * 1e6


def end_to_end(repeats: int) -> list[float]:
    """Return the ratio of each interleaved pair: ours over stock."""
    pipe = tiny.build("plus", "large")
    editor = _editor(pipe)
    source = tiny.picture(size=(SIZE, SIZE))
    arguments = {"height": SIZE, "width": SIZE}

    def ours() -> None:
        editor.edit(source, "make it blue", steps=STEPS, seed=1, cfg=4.0, **arguments)

    def stock() -> None:
        pipe(
            image=[source], prompt="make it blue", negative_prompt=" ", true_cfg_scale=4.0,
            num_inference_steps=STEPS, generator=torch.Generator().manual_seed(1), **arguments,
        )  # fmt: skip

    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as module  # noqa: PLC0415

    module.VAE_IMAGE_SIZE = module.CONDITION_IMAGE_SIZE = AREA
    ours(), stock()
    return [_seconds(ours) / _seconds(stock) for _ in range(repeats)]


def profile(strategy: Any) -> str:
    """Return where the host's time goes in an edit whose transformer returns at once."""
    pipe = tiny.build("plus", "middle")
    pipe.transformer.forward = lambda hidden_states, **_: (hidden_states,)
    editor, source = _editor(pipe), tiny.picture()
    editor.edit(source, "make it blue", steps=STEPS, seed=1, strategy=strategy)
    profiler = cProfile.Profile()
    profiler.runcall(editor.edit, source, "make it blue", steps=STEPS, seed=1, strategy=strategy)
    text = io.StringIO()
    found = pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime")
    found.print_stats(r"(loop|_hooks|_checks|_values|_run|_confine|attention|__init__)\.py", 15)
    return text.getvalue()


def _editor(pipe: Any) -> rh.Editor:
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=AREA, reference=AREA, vision=AREA))


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.profile:
        print(profile(None), profile(rh.Stage("cross_attn", 0.7)), sep="\n")
        return
    cases = {
        "no strategy": (None, 1),
        "default at 0.7, 3 references": (rh.Stage("default", 0.7), 3),
        "inject at 0.7": (rh.Stage("inject", 0.7), 1),
        "cross_attn at 0.7": (rh.Stage("cross_attn", 0.7), 1),
        "cross_attn at 0.7, 3 references": (rh.Stage("cross_attn", 0.7), 3),
        "guidance at 0.7": (rh.Stage("guidance", 0.7), 1),
    }
    facade = {name: facade_ms(*case) for name, case in cases.items()}
    for name, milliseconds in facade.items():
        print(f"façade, {name}: {milliseconds:.3f} ms a step (bound 0.5)")
    attribution = attribution_us()
    print(f"naming the place of a call: {attribution:.2f} µs (bound 1)")
    ratios = sorted(end_to_end(arguments.repeats))
    print(
        f"edit / stock: median {statistics.median(ratios):.3f},"
        f" from {ratios[0]:.3f} to {ratios[-1]:.3f} in {len(ratios)} pairs"
    )
    if arguments.json:
        result = {
            "command": "python benchmarks/overhead.py",
            "device": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "facade_ms_per_step": facade,
            "attribution_us_per_call": attribution,
            "edit_over_stock": ratios,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

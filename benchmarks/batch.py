"""What many edits cost as a batch: against single edits, stock steps, and with actors of Ray.

    python benchmarks/batch.py [--only shared,wide,ray] [--repeats 3]

Three ratios, each against a baseline in the same run, in turns:

- ``shared``: 64 jobs of the embedded model with 8 prompts and 4 references among them, as
  ``refhooks.batch.run`` makes them, over 64 calls of ``Editor.edit`` that keep no encodings;
- ``wide``: a step of 4 jobs in one pass over 4 steps of the stock pipeline, on a wide model;
- ``ray``: what an edit takes longer with one actor of Ray than without, on a tiny model, each edit
  a pass of its own, from the first moment that an actor has its model.

On a CPU the first two are given in seconds of the processor as well, which other work on the
machine changes less. Results go to ``results/batch.json``, and a sentence into ``docs/batches.md``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import textwrap
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from _ray_kills import tiny_editor
from _timing import interleaved, over, spread, write_json
from _wide import Bench, add_options, scale_of
from kills import register_tiny

import refhooks as rh
from refhooks import batch
from refhooks.testing._tiny import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "batch.json"
PAGE = ROOT / "docs" / "batches.md"
MARKS = ("<!-- speed -->\n", "<!-- end -->")
PARTS = ("shared", "wide", "ray")
JOBS, PROMPTS, REFERENCES, STEPS = 64, 8, 4, 8
TOGETHER = 4
LIMITS = {"shared": 0.6, "wide": 1.02, "ray_ms": 50.0}


def jobs_in(folder: Path, count: int, side: int, references: int) -> list[dict[str, Any]]:
    """Write pictures, and return jobs of them with prompts and references in common."""
    for number in range(PROMPTS + references):
        picture(number, (side, side)).save(folder / f"{number}.png")
    return [
        {"id": f"{it:03d}", "image": str(folder / f"{it % PROMPTS}.png"), "seed": it,
         "prompt": f"make the circle {it // PROMPTS % PROMPTS}",
         "references": [str(folder / f"{PROMPTS + it % references}.png")] if references else []}
        for it in range(count)
    ]  # fmt: skip


def places(folder: Path) -> Iterator[Path]:
    """Yield one new folder after the other."""
    number = 0
    while True:
        number += 1
        yield folder / f"out-{number}"


def shared(folder: Path, repeats: int) -> dict[str, Any]:
    """Compare a batch with single edits that keep no encodings."""
    alone = rh.Editor.from_pretrained("toy", encodings_mib=0)
    together = rh.Editor.from_pretrained("toy")
    for editor in (alone, together):
        editor.pipe.set_progress_bar_config(disable=True)
    jobs, out = jobs_in(folder, JOBS, 64, REFERENCES), places(folder)

    def single() -> None:
        for job in jobs:
            told = {name: job[name] for name in ("image", "prompt", "references", "seed")}
            alone.edit(**told, steps=STEPS)

    def many() -> None:
        batch.run(jobs, out=next(out), model=together, shared={"steps": STEPS})

    wall, processor = _both({"single": single, "batch": many}, repeats)
    return {
        "jobs": JOBS, "prompts": PROMPTS, "references": REFERENCES, "steps": STEPS,
        "seconds": {name: spread(values) for name, values in wall.items()},
        "ratio": over(wall, "batch", "single"),
        "ratio_of_processor": over(processor, "batch", "single"),
    }  # fmt: skip


def _both(
    cases: Mapping[str, Callable[[], None]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Run cases in turns; return seconds of the clock, and of the processor, of each round."""
    processor: dict[str, list[float]] = {name: [] for name in cases}

    def timed(name: str) -> float:
        began, used = time.perf_counter(), time.process_time()
        cases[name]()
        processor[name].append(time.process_time() - used)
        return time.perf_counter() - began

    wall = interleaved({name: lambda name=name: timed(name) for name in cases}, repeats)
    return wall, {name: values[-repeats:] for name, values in processor.items()}


def wide(arguments: Any) -> dict[str, Any]:
    """Compare a step of several jobs in one pass with as many stock steps."""
    scale = scale_of(arguments)
    bench = Bench(scale)
    if scale.device == "cpu":
        bench.timer = time.process_time
    cases = {
        "stock": lambda: sum(bench.stock(1) for _ in range(TOGETHER)),
        "batch": lambda: bench.together(TOGETHER),
    }
    found = interleaved(cases, arguments.repeats)
    return {
        "jobs": TOGETHER, "blocks": scale.blocks, "tokens": 2 * scale.tokens + scale.text,
        "width": scale.width, "device": scale.device,
        "seconds": {name: spread(values) for name, values in found.items()},
        "ratio": over(found, "batch", "stock"),
    }  # fmt: skip


def ray(folder: Path, repeats: int) -> dict[str, Any]:
    """Compare one actor with this process."""
    import functools  # noqa: PLC0415
    import os  # noqa: PLC0415

    import ray as library  # noqa: PLC0415  an extra

    register_tiny()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # of the actor
    (folder / "actors").mkdir()
    jobs, out = jobs_in(folder, JOBS, 32, 0), places(folder)
    load = functools.partial(tiny_editor, folder / "made", folder / "actors")

    def timed(**options: Any) -> float:
        seen: list[float] = []
        batch.run(
            jobs, out=next(out), most=1, shared={"steps": 2},
            progress=lambda _: seen.append(time.perf_counter()), **options,
        )  # fmt: skip
        return seen[-1] - seen[0]

    library.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        found = interleaved(
            {"here": lambda: timed(model="tiny"), "ray": lambda: timed(model=load, ray=True)},
            repeats,
        )
    finally:
        library.shutdown()
    more = [(one - other) / JOBS * 1000 for one, other in zip(*found.values(), strict=True)]
    return {
        "edits": JOBS, "rounds": repeats, "version": library.__version__,
        "ms_an_edit": {name: spread([it / JOBS * 1000 for it in values])
                       for name, values in found.items()},
        "ms_more": spread([-it for it in more]),
    }  # fmt: skip


def sentence(result: Mapping[str, Any]) -> str:
    """Say in the page what was measured."""
    one, step, actor = result["shared"], result["wide"], result["ray"]
    more, cpu = actor["ms_more"], one["ratio_of_processor"]["median"]
    said = (
        f"In turns with what they are compared to, {one['jobs']} jobs of the embedded model with"
        f" {one['prompts']} prompts and {one['references']} references among them took"
        f" {cpu:.2f} of the processor's time of as"
        f" many single edits that keep no encodings ({one['ratio']['median']:.2f} by the clock,"
        f" beside other work); a step of {step['jobs']} jobs on a wide model"
        f" {step['ratio']['median']:.2f} of {step['jobs']} stock steps; and an edit by an actor of"
        f" Ray {more['median']:+.0f} ms by the clock ({more['lowest']:+.0f} to"
        f" {more['highest']:+.0f} over {actor['rounds']} rounds beside other work), once it had its"
        " model (`python benchmarks/batch.py`)."
    )
    return textwrap.fill(said, 125, break_on_hyphens=False) + "\n"


def write_page(result: Mapping[str, Any]) -> None:
    """Put the sentence into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    PAGE.write_text(before + MARKS[0] + sentence(result) + mark + after, encoding="utf-8")


def main() -> None:
    """Measure, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--repeats", type=int, default=3)
    add_options(parser, blocks=1, side=12, text=64)
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # these pictures are not of the embedded model's world
    result = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in arguments.only.split(","):
        with tempfile.TemporaryDirectory(prefix="batch-") as place:
            if part == "wide":
                result[part] = wide(arguments)
            else:
                result[part] = {"shared": shared, "ray": ray}[part](Path(place), arguments.repeats)
        print(part, json.dumps(result[part]), flush=True)
        kept = {name: result[name] for name in PARTS if name in result}
        write_json({"limits": LIMITS, **kept}, RESULTS)
    if all(part in result for part in PARTS):
        write_page(result)


if __name__ == "__main__":
    main()

"""Malformed input of six kinds: each ends with a result, or with an error of refhooks.

    python benchmarks/fuzz.py [--kind strategies ...] [--count 20000] [--seed 0] [--json FILE]

Half of the cases are wholly random, half are one step from valid. A failure is any other exception,
more than 5 s, more than 512 MiB beyond what the idle process holds, and a file, thread, open file
or warning filter that stays. Cases run in blocks of 1,000, each in a process of its own and from a
seed of its own; finished blocks are kept in the JSON file, so that a run that was stopped goes on.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import torch
from _fuzz._blocks import BLOCK, KINDS, Found, run_block, workplace
from _fuzz._watch import MAX_MIB, MAX_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS = Path(__file__).parent / "results" / "fuzz.json"
WARM = 60  # cases, before the first block
LONGEST = 900  # seconds of a block, after which its process is ended
VERSIONS = ("hypothesis", "torch", "pillow", "safetensors", "click", "numpy")


def _child(kind: Any, folder: Path, number: int, seed: int, count: int, out: Any) -> None:
    out.send(run_block(kind, folder, number, seed, count))
    out.close()


def _apart(kind: Any, folder: Path, number: int, seed: int, count: int) -> Found:
    """Run a block in a process of its own; if that dies or hangs, this one goes on."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(kind, folder, number, seed, count, send))
    process.start()
    send.close()
    said = "took too long"
    try:
        if receive.poll(LONGEST):
            return receive.recv()  # type: ignore[no-any-return]
    except EOFError:
        said = "died"
    finally:
        receive.close()
        if process.is_alive():
            process.join(5)
        if process.is_alive():
            process.kill()
        process.join()
    return Found(failures=[{"block": number, "how": f"{said}, exit code {process.exitcode}"}])


def _about(seed: int) -> dict[str, Any]:
    return {
        "command": "python benchmarks/fuzz.py",
        "seed": seed,
        "limits": {"seconds": MAX_SECONDS, "MiB": MAX_MIB},
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONS},
    }


def _read(place: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an earlier run of the same seed and versions has done."""
    if place.is_file():
        table: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        if all(table.get(key) == value for key, value in about.items()):
            return table
        raise click.UsageError(
            f"{place} is of another seed or of other versions; name another file"
        )
    return {**about, "kinds": {}}


def _write(place: Path, table: Mapping[str, Any]) -> None:
    part = place.with_suffix(".part")
    part.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    part.replace(place)


def fuzz(name: str, count: int, seed: int, table: dict[str, Any], place: Path) -> Found:
    """Run the blocks of a kind that are not done yet."""
    held = table["kinds"].get(name, {"blocks": 0})
    found = Found(**{key: value for key, value in held.items() if key != "blocks"})
    blocks = -(-count // BLOCK)
    with workplace() as folder:
        kind = KINDS[name](folder)
        own = {*folder.iterdir()}
        run_block(kind, folder, -1, seed, WARM)  # imports, and what hypothesis prepares
        gc.freeze()  # so that no child looks through what it shares
        for number in range(held["blocks"], blocks):
            began = time.monotonic()
            block = _apart(kind, folder, number, seed, BLOCK)
            for left in {*folder.iterdir()} - own:  # of a process that died
                left.unlink()
            found.add(block)
            table["kinds"][name] = {"blocks": number + 1, **_rounded(found)}
            _write(place, table)
            click.echo(
                f"{name} {number + 1} of {blocks}: {block.cases} cases,"
                f" {len(block.failures)} failed, {time.monotonic() - began:.1f} s",
                err=True,
            )
    return found


def _rounded(found: Found) -> dict[str, Any]:
    table = attrs.asdict(found)
    return {key: round(it, 3) if isinstance(it, float) else it for key, it in table.items()}


@click.command()
@click.option("--kind", "names", type=click.Choice([*KINDS]), multiple=True, help="By default all.")
@click.option("--count", type=click.IntRange(1), default=20_000, show_default=True, help="Of each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--json", "place", default=RESULTS, show_default=True, metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path), help="Where the figures are kept.",
)  # fmt: skip
def main(names: tuple[str, ...], count: int, seed: int, place: Path) -> None:
    """Try malformed input, and say what fails."""
    torch.set_num_threads(1)
    place = place.absolute()
    table = _read(place, _about(seed))
    failed = 0
    for name in names or KINDS:
        found = fuzz(name, count, seed, table, place)
        failed += len(found.failures)
        click.echo(
            f"{name:10} {found.cases} cases: {found.results} results,"
            f" {found.cases - found.results - len(found.failures)} refused, {len(found.failures)}"
            f" failed; slowest {found.slowest:.2f} s, {found.peak:.0f} MiB beyond idle,"
            f" {1000 * found.seconds / max(found.cases, 1):.1f} ms a case"
        )
        for failure in found.failures:
            click.echo(f"  {failure}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

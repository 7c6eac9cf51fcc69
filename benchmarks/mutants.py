"""Changes lines of the code, one at a time, and runs the tests that should notice.

    python benchmarks/mutants.py [--area kernel ...] [--seed 0] [--json FILE]

Lines and changes are drawn from the seed; mutants.toml says from which files, and which tests
belong to them. All of it happens in a copy of the tree. The copy first notes which tests reach
which of the lines; then each change is made, and the tests that reach it run in a forked process,
which has torch already, until one fails. What is done is kept in the JSON file: a run that was
stopped goes on, and a change is tried again when its module changes, or, if it survived, when the
tests do.

mutmut (3.8) wraps each function in another one, and leaves out functions with a decorator: hooks,
properties, validators of fields. cosmic-ray (8.7) starts a process for each change, which imports
torch again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

os.environ["OMP_NUM_THREADS"] = "1"

from _mutants._forks import copied, in_fork, replaced, warm
from _mutants._reach import Reach
from _mutants._sites import choose, sites_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _mutants._sites import Site

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".toml")
RESULTS = Path(__file__).parent / "results" / "mutants.json"
KEPT = ROOT / "build" / "mutants"
BUDGET = 60.0  # seconds of processor time for the tests of one change
EXTRA = 90  # seconds to import and collect, beside three times what its tests take without a change
PROMISED = 0.95


class Area:
    """Modules, their changes, and the tests that belong to them.

    Args:
        name: In the table.
        table: Its entries.
        tree: The copy.
        seed: Of the choice.
    """

    def __init__(self, name: str, table: Mapping[str, Any], tree: Path, seed: int) -> None:
        self.name = name
        modules = [path for it in table["sources"] for path in _files(tree / it, "*.py")]
        modules = [path for path in modules if path.name not in table.get("skip", ())]
        every = [site for path in modules for site in sites_of(path, tree)]
        self.sites = choose(every, table["count"], seed)
        tests = [path for it in table["tests"] for path in _files(tree / it, "test_*.py")]
        self.tests = [path.relative_to(tree).as_posix() for path in dict.fromkeys(tests)]
        helpers = {helper for path in tests for helper in path.parent.glob("*.py")}
        self.tested_by = _sha(*sorted({*tests, *helpers}))


def _files(path: Path, pattern: str) -> list[Path]:
    if not path.exists():
        raise click.UsageError(f"there is no {path.name}, which {TABLE.name} names")
    return [path] if path.is_file() else sorted(path.rglob(pattern))


def _sha(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Bench:
    """The copy, what is known already, and what is done with one change.

    Args:
        tree: The copy.
        place: Where results are kept.
        seed: Of the choice.
    """

    def __init__(self, tree: Path, place: Path, seed: int) -> None:
        self.tree = tree
        self._place = place
        self.table: dict[str, Any] = {
            "command": "python benchmarks/mutants.py", "seed": seed, "mutants": {},
        }  # fmt: skip
        if place.is_file():
            held = json.loads(place.read_text(encoding="utf-8"))
            if held["seed"] != seed:
                raise click.UsageError(f"{place} is of another seed; name another file")
            self.table = held

    def due(self, area: Area) -> list[Site]:
        """Return the changes whose result is not known, or no longer holds."""
        return [site for site in area.sites if not self._holds(site, area)]

    def _holds(self, site: Site, area: Area) -> bool:
        held = self.table["mutants"].get(site.key)
        if held is None or held["source"] != _sha(self.tree / site.file):
            return False
        return held["state"] == "killed" or held["tests"] == area.tested_by

    def forget(self, areas: Sequence[Area]) -> None:
        """Drop what is no longer chosen."""
        chosen = {site.key for area in areas for site in area.sites}
        names = {area.name for area in areas}
        self.table["mutants"] = {
            key: it
            for key, it in self.table["mutants"].items()
            if key in chosen or it["area"] not in names
        }

    def attempt(self, site: Site, area: Area, reach: Reach) -> dict[str, Any]:
        """Make one change, run its tests, keep what came of it."""
        names = reach.tests(site.key, area.tests, BUDGET)
        path = self.tree / site.file
        said: dict[str, Any] = {"state": "survived", "by": "no test of its area reaches it"}
        if names:
            seconds = int(EXTRA + 3 * reach.seconds(names))
            files = list(dict.fromkeys(name.split("::")[0] for name in names))
            with replaced(path, site.applied(path.read_bytes())):
                done = in_fork(self.tree, ["-x", *files], seconds, names)
            warm(done.modules)
            killed = done.status != 0
            by = done.failed or {"time": f"took more than {seconds} s"}.get(done.how, done.how)
            said = {"state": "killed", "by": by} if killed else {"state": "survived"}
            said |= {"tests run": len(names), "seconds": round(done.seconds, 1)}
        row = {
            "area": area.name, "file": site.file, "line": site.line, "function": site.function,
            "operator": site.operator, "text": site.text, "before": site.before,
            "after": site.after, "source": _sha(path), "tests": area.tested_by, **said,
        }  # fmt: skip
        self.table["mutants"][site.key] = row
        self.write()
        return row

    def write(self) -> None:
        """Keep what is known."""
        part = self._place.with_suffix(".part")
        text = json.dumps(self.table, indent=1, ensure_ascii=False)
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(self._place)


def reasons(table: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, str]:
    """Return why changes that survived change nothing, by their key."""
    known = {
        (it["file"], it["function"], it["line"], it["after"]): it["why"]
        for it in table.get("equivalent", ())
    }
    found = {
        key: known.get((row["file"], row["function"], row["text"], row["after"]))
        for key, row in rows.items()
        if row["state"] == "survived"
    }
    return {key: why for key, why in found.items() if why is not None}


def summary(rows: Mapping[str, Any], equal: Mapping[str, str]) -> tuple[list[str], float]:
    """Return the figures by area with what survived, and the share that was killed."""
    lines = []
    counted = {key: row for key, row in rows.items() if key not in equal}
    for area in dict.fromkeys(row["area"] for row in rows.values()):
        own = [row for row in counted.values() if row["area"] == area]
        killed = sum(row["state"] == "killed" for row in own)
        same = sum(rows[key]["area"] == area for key in equal)
        lines.append(f"{area:9} {len(own) + same} changed, {same} equivalent, {killed} noticed")
    for key, row in rows.items():
        if row["state"] == "survived":
            lines += [
                f"{key} {row['file']}:{row['line']} {row['function']}, {row['operator']}:",
                f"    {row['before'][:200]}  ->  {row['after'][:200]}",
                f"    {equal.get(key) or row.get('by') or 'SURVIVED'}",
            ]
    killed = sum(row["state"] == "killed" for row in counted.values())
    return lines, killed / max(len(counted), 1)


def prepared(bench: Bench, areas: Sequence[Area]) -> None:
    """Import what tests of these areas import of others; later runs show what else there is."""
    files = [area.tests[0] for area in areas]
    done = in_fork(bench.tree, ["--collect-only", *files], 120)
    if done.status != 0:
        raise click.ClickException(f"the tests of the tree cannot be collected: {done.failed}")
    warm(done.modules)


def work(bench: Bench, areas: Sequence[Area]) -> None:
    """Try every change that is due."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for area in areas:
        due = bench.due(area)
        if not due:
            continue
        reach = Reach(bench.tree, area.sites, KEPT / f"{area.name}.json")
        for file, seconds in reach.ask(area.tests):
            click.echo(f"{area.name}: {file} in {seconds:.0f} s", err=True)
        for number, site in enumerate(due, 1):
            row = bench.attempt(site, area, reach)
            click.echo(
                f"{area.name} {number} of {len(due)}: {site.file}:{site.line} {row['state']},"
                f" {row.get('seconds', 0)} s, {row.get('by', '')}",
                err=True,
            )


@click.command()
@click.option("--area", "names", multiple=True, help="Of the table; by default all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--json", "place", default=RESULTS, show_default=True, metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path), help="Where the results are kept.",
)  # fmt: skip
@click.option("--report", is_flag=True, help="Only say what is known.")
def main(names: tuple[str, ...], seed: int, place: Path, *, report: bool) -> None:
    """Change the code, and say which changes no test notices."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder) / "tree"
        copied(ROOT, tree)
        bench = Bench(tree, place.absolute(), seed)
        known = {name: it for name, it in table.items() if name != "equivalent"}
        areas = [Area(name, known[name], tree, seed) for name in names or known]
        bench.forget(areas)
        if not report:
            prepared(bench, areas)
            work(bench, areas)
    rows = bench.table["mutants"]
    equal = reasons(table, rows)
    lines, share = summary(rows, equal)
    click.echo("\n".join([*lines, f"noticed: {share:.1%} of what is no equivalent"]))
    sys.exit(0 if share >= PROMISED else 1)


if __name__ == "__main__":
    main()

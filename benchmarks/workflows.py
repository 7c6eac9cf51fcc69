"""What `refhooks import-workflow` makes of a folder of ComfyUI's workflow templates: counts.

    python benchmarks/workflows.py FOLDER       imports them, writes figures and the page's table
    python benchmarks/workflows.py --page-only  writes the table again from the figures

FOLDER is `templates` of the pip package `comfyui_workflow_templates_json`. Nothing of its files is
kept but their names. A template counts if a node of it hands a picture to a model as a reference;
each of its samplers counts as an edit.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click

from refhooks import InputError, dump_strategy, load_references
from refhooks_comfyui._checkpoints import CHECKPOINTS, checkpoint_of
from refhooks_comfyui._files import find_workflow
from refhooks_comfyui._imported import Wishes, import_graph
from refhooks_comfyui._model import LOADS
from refhooks_comfyui._sampling import SAMPLERS

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "workflows.json"
PAGE = ROOT / "docs" / "import-workflow.md"
HEAD, TAIL = "<!-- templates: written by `python benchmarks/workflows.py` -->", "<!-- end -->"
OTHER = "models without a family here"
REFERENCES = re.compile(
    "ReferenceLatent|ReferenceMultiLatent|TextEncode.*Edit|TextEncodeQwenImage21"
)
PROMPT = "a prompt that is given"
COLUMNS = (
    "model", "edits", "imported", "of these, `--prompt` is asked for", "something to do first",
    "a node without an equal", "refused",
)  # fmt: skip


def edits_of(path: Path) -> list[dict[str, Any]]:
    """Return what each edit of a template came to; none if it holds no reference."""
    try:
        graph = find_workflow(path).graph
    except InputError:
        return []
    nodes = list(graph.nodes.values())
    if not any(REFERENCES.search(node.type) for node in nodes):
        return []
    samplers = [node.id for node in nodes if node.type in SAMPLERS]
    found = []
    for node in samplers or [None]:
        wishes = Wishes(node if len(samplers) > 1 else None)
        found.append({"template": path.name, "node": node, **imported(graph, wishes)})
    return found


def imported(graph: Any, wishes: Wishes) -> dict[str, Any]:
    """Import an edit; where its prompt is made when it runs, with one that is given."""
    family = family_of(graph, wishes.node)
    asked = False
    try:
        try:
            made = import_graph(graph, wishes)
        except InputError as error:
            if "--prompt" not in str(error):
                raise
            asked = True
            made = import_graph(graph, Wishes(wishes.node, PROMPT))
    except InputError as error:
        return {"family": family, "refused": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        place = dump_strategy(made.references, Path(folder) / "strategy.toml")
        references = len(load_references(place))  # it reads back
    notes = Counter(note.kind for note in made.notes)
    return {"family": family, "references": references, "asks_prompt": asked, "notes": dict(notes)}


def family_of(graph: Any, node: str | None) -> str:
    """Return the family of the weights that an edit is made with."""
    before = graph.nodes if node is None else graph.ancestors([graph.nodes[node]])
    files = [str(it.inputs.get(LOADS[it.type])) for it in before.values() if it.type in LOADS]
    known = [checkpoint_of(file).name for file in files if checkpoint_of(file) in CHECKPOINTS]
    return known[0] if known else OTHER


def table(edits: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    names = [checkpoint.name for checkpoint in CHECKPOINTS] + [OTHER]
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for name in names:
        own = [edit for edit in edits if edit["family"] == name]
        if own:
            lines.append(f"| {name} | {' | '.join(map(str, counts(own)))} |")
    lines.append(f"| all | {' | '.join(map(str, counts(edits)))} |")
    return "\n".join(lines)


def counts(edits: list[dict[str, Any]]) -> list[int]:
    """Return a row: edits, imported, with a prompt, with a to do, with no equal, refused."""
    made = [edit for edit in edits if "refused" not in edit]
    return [
        len(edits), len(made), sum(edit["asks_prompt"] for edit in made),
        sum("to do" in edit["notes"] for edit in made),
        sum("no equal" in edit["notes"] for edit in made), len(edits) - len(made),
    ]  # fmt: skip


def page(text: str, edits: list[dict[str, Any]]) -> str:
    """Return the page with its table written anew."""
    before, _, rest = text.partition(HEAD)
    return f"{before}{HEAD}\n{table(edits)}\n{TAIL}{rest.partition(TAIL)[2]}"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--page-only", is_flag=True)
def main(folder: Path | None, page_only: bool) -> None:
    """Import, count, write."""
    if not page_only:
        if folder is None:
            raise click.UsageError("name the folder of templates")
        paths = [it for it in sorted(folder.glob("*.json")) if not it.name.startswith("index")]
        edits = [edit for path in paths for edit in edits_of(path)]
        command = "python benchmarks/workflows.py FOLDER"
        data = {"command": command, "templates": len(paths), "edits": edits}
        FIGURES.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    edits = json.loads(FIGURES.read_text(encoding="utf-8"))["edits"]
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), edits), encoding="utf-8")
    print(table(edits))


if __name__ == "__main__":
    main()

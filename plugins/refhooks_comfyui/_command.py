"""``refhooks import-workflow FILE``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from refhooks import InputError, dump_strategy
from refhooks_comfyui._files import find_workflow
from refhooks_comfyui._imported import Imported, Wishes, import_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = """Turn the ComfyUI workflow in FILE into a strategy file and a command line.

FILE is a workflow as ComfyUI saves or exports it (JSON), or a picture that ComfyUI made (PNG,
WEBP). It is read as data: no path in it is opened. The command is printed on stdout; what differs,
what has no equal and what is to be done first, node by node, on stderr.
"""


@click.command("import-workflow", help=HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="The strategy file, .toml or .json; by default beside FILE.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a strategy file that is there.")
@click.option("--node", metavar="ID",
              help="The sampler that is meant, or a node after it, of several.")  # fmt: skip
@click.option("--prompt", metavar="TEXT", help="In place of the workflow's prompt.")
@click.option("--model", metavar="NAME", help="In place of what its weights are taken for.")
@click.option("--comfyui", type=click.Path(path_type=Path), metavar="FOLDER",
              help="ComfyUI's folder: pictures are then those of FOLDER/input, LoRAs those of"
              " FOLDER/models/loras. By default pictures lie beside the strategy file, LoRAs"
              " here.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def import_workflow(
    file: Path,
    output: Path | None,
    force: bool,
    node: str | None,
    prompt: str | None,
    model: str | None,
    comfyui: Path | None,
    as_json: bool,
) -> None:
    """Write the strategy file and print the command."""
    target = output or file.with_suffix(".toml")
    _check_target(target, file, force=force)
    found = find_workflow(file)
    pictures = target.parent if comfyui is None else comfyui / "input"
    loras = None if comfyui is None else comfyui / "models" / "loras"
    try:
        made = import_graph(found.graph, Wishes(node, prompt, model, pictures, loras))
    except InputError as error:
        raise InputError(f"{file} cannot be imported: {error}") from error
    written = dump_strategy(made.references, target)
    words = command_words(made, written)
    if as_json:
        click.echo(json.dumps(_table(made, words, written, found.form), indent=2))
        return
    click.echo(f"wrote {quoted(str(written))} from {found.place} ({found.form})", err=True)
    for note in made.notes:
        click.echo(f"{note.kind}: {note.label}: {_plain(note.text)}", err=True)
    click.echo(" ".join(quoted(word) for word in words))


def _check_target(target: Path, file: Path, *, force: bool) -> None:
    if target.suffix.lower() not in {".toml", ".json"}:
        raise InputError(f"{target}: a strategy file ends in .toml or .json")
    if target.absolute() == file.absolute():
        raise InputError(f"{target} is the workflow; name another file with -o")
    if target.exists() and not force:
        raise InputError(f"{target} is there; name another file with -o, or add --force")


def command_words(made: Imported, strategy: Path) -> list[str]:
    """Return the words of the command that makes the edit."""
    picture = strategy.with_name(f"{strategy.stem}-edit.png")
    options: list[str] = []
    for name, value in made.options:
        options += [name] if name == "--invert-masks" else [name, value]
    image = str(made.references[0].image)
    words = [image, made.prompt]
    tail = ["--strategy", str(strategy), *options, "-o", str(picture)]
    if any(word.startswith("-") for word in words):
        return ["refhooks", "edit", *tail, "--", *words]
    return ["refhooks", "edit", *words, *tail]


def quoted(word: str) -> str:
    """Return a word as a shell reads it; what cannot be printed is escaped, as bash and zsh do."""
    if word.isprintable():
        return shlex.quote(word)
    letters = [
        f"\\{letter}" if letter in "\\'" else letter if letter.isprintable() else _bytes(letter)
        for letter in word
    ]
    return f"$'{''.join(letters)}'"


def _bytes(letter: str) -> str:
    """Bytes mean the same in every locale."""
    if letter in "\n\t":
        return "\\n" if letter == "\n" else "\\t"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))


def _plain(text: str) -> str:
    """A text as one line without control characters, which a terminal would obey."""
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)


def _table(made: Imported, words: Sequence[str], written: Path, form: str) -> dict[str, object]:
    return {
        "form": form,
        "strategy": str(written),
        "model": made.model,
        "command": list(words),
        "notes": [
            {key: value for key, value in attrs.asdict(note).items() if key != "label"}
            for note in made.notes
        ],
    }

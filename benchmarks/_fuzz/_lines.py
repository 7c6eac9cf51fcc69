"""Command lines, run in this process as far as the model that they would load."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from hypothesis import strategies as st

import refhooks as rh
from _fuzz._files import good_card, good_chain, good_strategies, save_pictures
from _fuzz._loras import good
from _fuzz._model import editor
from _fuzz._odd import NUMBERS, TEXTS
from _fuzz._watch import LeftError
from refhooks.cli import _check as check_command
from refhooks.cli import main
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

EDIT = ["edit", "photo.png", "make it blue", "-o", "out.png"]
GRID = ["grid", "photo.png", "make it blue", "-o", "sheet.png"]
GOOD = (
    [*EDIT, "--steps", "4", "--seed", "1", "-n", "2", "--cfg", "2.0", "--denoise", "0.5"],
    [*EDIT, "--method", "inject", "--strength", "0.4:1.0", "--negative", "dull", "--no-recipe"],
    [*EDIT, "--ref", "other.png:inject:0.5", "--ref", "other.png", "--resolution", "1024"],
    [*EDIT, "--mask-region", "mask.png", "--mask-content", "10%,10%,50%,50%", "--feather", "2"],
    [*EDIT, "--edit-mask", "4,4,8,8", "--invert-masks", "--preview-every", "2", "--embed"],
    [*EDIT, "--preset", "color-change", "--height", "32", "--width", "32", "--model", "toy"],
    [*EDIT, "--strategy", "strategy.toml", "--metadata", "keep", "--vision-resolution", "1024"],
    [*EDIT, "--lora", "lora.safetensors:0.5", "--shift", "3", "--dtype", "float32"],
    [*EDIT, "--device", "cpu", "--offload", "none", "--quantize", "none", "--resolution", "native"],
    ["chain", "photo.png", "chain.toml", "-o", "out.png", "--seed", "7", "--steps", "4"],
    ["chain", "photo.png", "-p", "blue", "-p", "a star", "-o", "out.png", "--denoise", "0.5,1",
     "--strength", "1:0.5",
     "--handover", "pixels"],
    [*GRID, "--methods", "default,inject", "--strengths", "0,0.5", "--seeds", "0,1"],
    [*GRID, "--rows", "inject.formula=add,blend", "--columns", "strength=0,1", "--tile", "64",
     "--cells", "cells"],
    ["plan", "strategy.toml", "--steps", "4", "--denoise", "0.5", "--json"],
    ["plan", "chain.toml", "--steps", "3"],
    ["plan", "strategy.toml", "--steps", "4", "--cost", "--height", "1024", "--width", "1024"],
    ["plan", "strategy.toml", "--model", "toy"],
    ["explain", "night.png", "--json", "--edit-mask", "0,0,8,8"],
    ["replay", "night.png", "--model", "toy", "--set", "strength=0.7", "--set", "seed=8"],
    ["replay", "night.png", "--model", "toy", "--reference", "photo.png", "--embed", "-o", "x.png"],
    ["recipe", "night.png"], ["recipe", "night.png", "--strip"],
    ["presets", "color-change", "--json"], ["presets"], ["--version", "--verbose"],
    ["new", "my-method", "--kind", "method", "--hook", "attention", "-o", "made"],
    ["check", "inject", "--expect", "strength-0=it cannot"],
    ["score", "--quick", "-o", "score", "--scenes", "2", "--batch", "4", "--seed", "3"],
    ["score", "--methods", "inject", "--strengths", "0,1", "--denoise", "0.5", "--steps", "2",
     "-o", "score"],
    ["score", "--cells", "cells.toml", "--pairs", "pairs.jsonl", "--json", "card.json"],
    ["train-concat", "--help"], ["edit", "--help"],
)  # fmt: skip
COMMANDS = ("edit", "chain", "grid", "plan", "explain", "replay", "recipe", "presets", "new",
            "check", "score", "demo", "train-concat")  # fmt: skip
TRACES = ("Traceback (most recent call last)", 'File "')


def _texts() -> Any:
    """What may stand in an argument: no folder, so that nothing is written anywhere else."""
    said = st.sampled_from(TEXTS) | st.sampled_from(NUMBERS).map(lambda it: f"{it!s:.60}")
    drawn = said | st.text(max_size=8)
    return drawn.filter(lambda text: not set(text) & set("/~\\") and ".." not in text)


_WORDS = _texts()


@st.composite
def _one_step(draw: Any, words: list[str]) -> list[str]:
    """A command line of which one word is other than it was."""
    line = draw(st.sampled_from(GOOD))
    at = draw(st.integers(0, len(line) - 1))
    word = draw(st.sampled_from(words) if draw(st.booleans()) else _WORDS)
    how = draw(
        st.sampled_from(("replaced", "replaced", "gone", "twice", "before", "joined", "mixed"))
    )
    rest = {
        "replaced": [word], "gone": [], "twice": [line[at], line[at]], "before": [word, line[at]],
        "joined": [f"{line[at]}={word}"], "mixed": [f"{line[at]}{word}"],
    }[how]  # fmt: skip
    return [*line[:at], *rest, *line[at + 1 :]]


PLANNED = "as far as loading a model"


class PlannedError(ModelError):
    """A command has come as far as loading a model."""


def _planned(*_given: Any, **_options: Any) -> None:
    raise PlannedError(PLANNED)


class Lines:
    """What stands behind ``refhooks``."""

    name = "lines"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        save_pictures(folder)
        rh.dump_strategy(good_strategies(folder)[0], folder / "strategy.toml")
        rh.dump_chain(good_chain(folder), folder / "chain.toml")
        good_card().save_json(folder / "card.json")
        (folder / "cells.toml").write_text(
            '[[cell]]\nname = "a"\n[[cell.stage]]\nmethod = "inject"\n'
        )
        (folder / "pairs.jsonl").write_text('{"source": "photo.png", "prompt": "blue"}\n')
        (folder / "lora.safetensors").write_bytes(good()[0])
        editor().edit("photo.png", "make it night", steps=2, seed=1).save("night.png")
        self._kept = folder.with_name("kept")
        shutil.copytree(folder, self._kept, copy_function=shutil.copy2)
        self._before = self._state()
        files = [it.name for it in folder.iterdir()]
        given = {word for line in GOOD for word in line}
        words = sorted({*files, *given, "none.png", "-o", "-h", "--",
                        "--debug", "--json", "--plot", "--html", "plan.png"})  # fmt: skip
        word = st.sampled_from(words) | _WORDS
        lines = st.tuples(st.sampled_from(COMMANDS), st.lists(word, max_size=7))
        self.random = lines.map(lambda it: [it[0], *it[1]]) | st.lists(word, max_size=4)
        self.good = [*GOOD]
        self.near = _one_step(words)

    def _state(self) -> dict[str, tuple[int, int]]:
        return {
            str(it.relative_to(self._folder)): (it.stat().st_size, it.stat().st_mtime_ns)
            for it in self._folder.rglob("*")
        }

    def run(self, line: list[str]) -> None:
        """Run it: one line says what is wrong, and then nothing has been written.

        A command that comes as far as loading a model, whose folders are made by then, is a result.
        """
        load, checks = rh.Editor.from_pretrained, check_command.run_checks
        rh.Editor.from_pretrained = _planned  # type: ignore[method-assign, assignment]
        check_command.run_checks = _planned  # type: ignore[attr-defined, assignment]
        try:
            result = CliRunner().invoke(main, line)
        finally:
            rh.Editor.from_pretrained = load  # type: ignore[method-assign]
            check_command.run_checks = checks  # type: ignore[attr-defined]
        self._judge(line, result)

    def _judge(self, line: list[str], result: Any) -> None:
        now = self._state()
        changed = sorted(
            key for key in {*now, *self._before} if now.get(key) != self._before.get(key)
        )
        if changed:
            self._restore()
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code not in {0, 2}:
            main(line, standalone_mode=False)  # raises what became a line
            raise LeftError(f"exit status {result.exit_code}: {result.stderr:.200}")
        planned = PLANNED in result.stderr
        if result.exit_code and changed and not planned:
            raise LeftError(f"failed, and left {changed}")
        told = (text.lstrip().startswith(TRACES) for text in result.output.splitlines())
        if any(told) and "--debug" not in line:  # a message may quote such words of an argument
            raise LeftError("a traceback")
        if not all(letter.isprintable() or letter == "\n" for letter in result.stderr):
            raise LeftError(f"control characters in the message: {result.stderr!r:.200}")
        if result.exit_code and not planned:
            raise PlannedError("refused")

    def _restore(self) -> None:
        for it in self._folder.iterdir():
            shutil.rmtree(it) if it.is_dir() else it.unlink()
        shutil.copytree(self._kept, self._folder, copy_function=shutil.copy2, dirs_exist_ok=True)
        self._before = self._state()

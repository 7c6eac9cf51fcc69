"""``refhooks demo``: the main job on any machine, offline, in seconds."""

from __future__ import annotations

import functools
import io
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL.Image import open as open_image
from PIL.PngImagePlugin import PngInfo

from refhooks._apps.editing.result import save_picture
from refhooks._apps.recipes.picture_files import load_recipe
from refhooks._apps.recipes.tables import rgb_hash
from refhooks._base.contact_sheets import make_sheet
from refhooks._base.files import try_writing, write_whole
from refhooks._base.folders import make_folder
from refhooks._base.outputs import check_output
from refhooks._base.pictures import load_picture, load_whole
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._libraries import quiet
from refhooks.cli._model import ModelPlan, open_editor
from refhooks.cli._options import DEFAULT_MODEL, REAL_MODEL
from refhooks.cli._room import picture_room
from refhooks.cli._terminal import steps_bar, tell
from refhooks.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from PIL.Image import Image

    from refhooks._apps.editing.result import EditResult
    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._core.contract.entries import EmbeddedModel

PROMPTS = ("make it night", "turn it into a pencil sketch")  # where the model names none
SEED = 0
MARK = "refhooks demo"


def run_demo(folder: Path) -> None:
    """Edit the embedded model's first sample and write it, the result and a sheet of both.

    Raises:
        ModelError: There is no embedded model, or it ships no sample.
        InputError: The folder cannot be made or written.
    """
    started = time.perf_counter()
    model = _model()
    photo = load_picture(_sample(model))
    prompts = model.prompts or PROMPTS
    companions = {folder / name: load_whole(path) for name, path in model.companions().items()}
    photo_place, place, sheet_place, *_ = _places(folder, companions)
    _check_own({photo_place: photo, **companions}, prompts[0], place, sheet_place)
    area = model.checkpoint.output or photo.width * photo.height
    # The picture, what goes with it, the photo, and both on the sheet.
    try_writing(place, picture_room(area, 4 + len(companions)))
    for each, picture in {photo_place: photo, **companions}.items():
        save_picture(picture, each)
    editor = open_editor(ModelPlan(name=model.name, embedded=True))
    steps = editor.family.default_steps
    with quiet(bars=False), steps_bar(steps) as advance:
        result = editor.edit(photo_place, prompts[0], seed=SEED, callback=lambda *_: advance())
    result.save(place)
    write_whole(_marked(_sheet(photo, result, prompts[0], steps)), sheet_place)
    _tell(place, sheet_place, time.perf_counter() - started)
    _tell_next(photo_place, folder, prompts)


def _model() -> EmbeddedModel:
    registry = load_registry()
    if DEFAULT_MODEL not in registry.models:
        raise ModelError(
            f"there is no embedded model {DEFAULT_MODEL!r}; refhooks plugins shows"
            f" what is installed.{registry.absent()}"
        )
    return registry.models[DEFAULT_MODEL]


def _sample(model: EmbeddedModel) -> Path:
    samples = model.samples()
    if not samples:
        raise ModelError(f"the embedded model {model.name!r} ships no sample picture")
    return samples[0]


def _places(folder: Path, companions: Iterable[Path]) -> list[Path]:
    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error}") from error
    names = ("photo.png", "edited.png", "before-after.png")
    return [check_output(place) for place in (*(folder / name for name in names), *companions)]


def _check_own(pictures: Mapping[Path, Image], prompt: str, place: Path, sheet: Path) -> None:
    """Let an earlier demo be written over, and nothing else."""
    photo = next(iter(pictures.values()))
    own: dict[Path, Callable[[], bool]] = {
        place: lambda: _is_of_demo(load_recipe(place), photo, prompt),
        sheet: lambda: _is_marked(sheet),
    }
    for each, picture in pictures.items():
        own[each] = functools.partial(_is_same, each, picture)
    for name, is_own in own.items():
        try:
            kept = not name.exists() or is_own()
        except (InputError, OSError, ValueError):
            kept = False
        if not kept:
            raise InputError(
                f"{name} is there already, and is not this demo's; name another folder with -o,"
                " or move it away"
            )


def _is_same(place: Path, picture: Image) -> bool:
    return load_whole(place).tobytes() == load_whole(picture).tobytes()


def _is_of_demo(recipe: Recipe, photo: Image, prompt: str) -> bool:
    pictures = [picture.sha256 for picture in recipe.pictures]
    return pictures == [rgb_hash(photo)] and (recipe.prompt, recipe.seed) == (prompt, SEED)


def _marked(sheet: Image) -> bytes:
    """A sheet has no recipe, so its file says in another way whose it is."""
    info, file = PngInfo(), io.BytesIO()
    info.add_text("Software", MARK)
    sheet.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _is_marked(sheet: Path) -> bool:
    with open_image(sheet, formats=("PNG",)) as opened:
        return bool(opened.info.get("Software") == MARK)


def _sheet(photo: Image, result: EditResult, prompt: str, steps: int) -> Image:
    strength = result.timetable.strengths(0)[0]
    captions = ["before", f"after: seed {result.seed}, {steps} steps, strength {strength:g}"]
    return make_sheet([photo, result.image], captions, title=prompt)


def _tell(place: Path, sheet: Path, seconds: float) -> None:
    tell(f"the picture:           {place}")
    tell(f"before and after:      {sheet}")
    tell(f"made in {seconds:.1f} s, without a network or an accelerator")


def _tell_next(photo: Path, folder: Path, prompts: Sequence[str]) -> None:
    """Three commands that work as they stand, wherever the program was started from."""
    other = prompts[1 % len(prompts)]
    commands = [
        ["edit", str(photo), other, "-o", str(folder / "other.png")],
        ["edit", str(photo), prompts[0], "--strength", "0.5", "-o", str(folder / "looser.png")],
        ["edit", str(photo), prompts[-1], "-n", "3", "-o", str(folder / "three.png")],
    ]
    tell("")
    tell("try next:")
    for command in commands:
        tell(f"  {_joined([*_program(), *command])}")
    tell(f"and for photographs, on a machine with an accelerator, add: --model {REAL_MODEL}")


def _program() -> list[str]:
    """How this program is called from here: by its name only if that finds this very one."""
    beside = Path(sys.executable).with_name("refhooks")
    on_path = shutil.which("refhooks")
    if on_path is not None and Path(on_path).parent == beside.parent:
        return ["refhooks"]
    if beside.is_file():
        return [_short(beside)]
    return [_short(Path(sys.executable)), "-m", "refhooks"]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _joined(command: Sequence[str]) -> str:
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)

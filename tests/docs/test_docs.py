"""Every example of the README and the docs runs as written; what is generated is up to date."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from places import BENCHMARKS, DOCS, ROOT
from safetensors.torch import save_file

import refhooks as rh
from refhooks.cli import main

pytestmark = pytest.mark.long

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(page, language):
    """The fenced blocks of a language, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


COMMANDS = [
    pytest.param(page, line, id=line)
    for page in PAGES for block in blocks(page, "") for line in block.splitlines()
    if line.startswith("refhooks ")
]  # fmt: skip


def write_files(page):
    """Write the files that a page shows under their names, which are in their first lines."""
    for text in blocks(page, "toml"):
        if text.startswith("# "):
            Path(text.splitlines()[0].removeprefix("# ")).write_text(text)


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder that ``refhooks demo`` writes."""
    place = tmp_path_factory.mktemp("here") / "demo"
    result = CliRunner().invoke(main, ["demo", "-o", str(place)])
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture(scope="module")
def night(toy, demo):
    """A saved edit of the photo, with its recipe."""
    result = toy.edit(demo / "photo.png", "make it night", seed=0, steps=2)
    return result.save(demo.parent / "night.png")[0]


@pytest.fixture
def folder(tmp_path, monkeypatch, demo, night, toy):
    """The working folder of a reader who ran ``refhooks demo`` there, made a picture and a LoRA."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo, "demo")
    shutil.copy(night, "demo")
    train_style(toy.family.transformer.get_submodule("transformer_blocks.0.attn.to_q"))
    return tmp_path


def train_style(layer):
    """Write what a reader has trained, as kohya's scripts do."""
    name = "lora_unet_transformer_blocks_0_attn_to_q"
    down, up = torch.ones(4, layer.in_features), torch.ones(layer.out_features, 4)
    tensors = {"lora_down.weight": down, "lora_up.weight": up * 1e-4, "alpha": torch.tensor(4.0)}
    save_file({f"{name}.{part}": tensor for part, tensor in tensors.items()}, "style.safetensors")


RUN_ELSEWHERE = {"cookbook"}  # by test_cookbook.py, which looks at what they make
RUN = [page for page in PAGES if page.stem not in RUN_ELSEWHERE]


@pytest.mark.parametrize("page", RUN, ids=[page.stem for page in RUN])
@pytest.mark.usefixtures("folder")
def test_python_examples_run(page, toy, monkeypatch, capsys):
    """The blocks of a page run one after the other, with ``editor`` and ``rh`` at hand."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda _name: toy)
    write_files(page)
    namespace = {"editor": toy, "rh": rh, "__name__": "example", "__file__": str(page)}
    for source in blocks(page, "python"):
        exec(compile(source, str(page), "exec"), namespace)
    capsys.readouterr()
    if "result" in namespace:
        assert torch.isfinite(namespace["result"].latents).all()


@pytest.mark.usefixtures("folder")
def test_the_first_example_can_be_seen(toy, monkeypatch, capsys):
    """It differs from the edit without a strategy by 4 of 255 or more, over the whole picture."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda _name: toy)
    namespace = {"__name__": "example"}
    exec(compile(blocks(ROOT / "README.md", "python")[0], "README.md", "exec"), namespace)
    capsys.readouterr()
    result = namespace["result"]

    plain = toy.edit("demo/photo.png", result.recipe.prompt, seed=result.seed)

    one, other = (np.asarray(it.image, np.float32) for it in (result, plain))
    assert np.abs(one - other).mean() >= 4


@pytest.mark.parametrize(("page", "command"), COMMANDS)
@pytest.mark.usefixtures("folder")
def test_commands_run(page, command):
    """Each command of the README and the docs works as it stands there."""
    write_files(page)
    result = CliRunner().invoke(main, shlex.split(command, comments=True)[1:])

    assert result.exit_code == 0, result.output


def test_the_readme_names_the_two_commands():
    """A newcomer finds them, and the picture they make."""
    text = (ROOT / "README.md").read_text()

    assert "make demo" in text
    assert "make test" in text


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_link_and_picture_is_there(page):
    """Within the project."""
    for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_every_method_and_schedule_has_its_picture():
    """Run docs/make_images.py after adding one."""
    made = runpy.run_path(str(DOCS / "make_images.py"))
    registry = rh.load_registry()

    assert {entry.name for entry in made["METHODS"].values()} == set(registry.methods)
    assert {schedule.name for schedule, _ in made["SCHEDULES"]} == set(registry.schedules)
    for name in registry.methods:
        assert (DOCS / "images" / f"method-{name}.png").is_file()
        assert f"images/method-{name}.png" in (DOCS / "methods.md").read_text()


def test_the_page_of_forms_is_generated():
    """Run benchmarks/forms.py; with ``--page-only`` if only its words have changed."""
    made = runpy.run_path(str(BENCHMARKS / "forms.py"))
    figures = json.loads((BENCHMARKS / "results" / "forms.json").read_text())

    assert made["page"](figures) == (DOCS / "forms.md").read_text()


def test_the_page_of_marks_is_generated():
    """Run benchmarks/marks.py after measuring, and docs/write_marks.py."""
    made = runpy.run_path(str(DOCS / "write_marks.py"))

    assert made["page"]() == (DOCS / "marks.md").read_text()


def test_the_page_of_keep_pixels_is_generated():
    """Run benchmarks/keeping.py after measuring, and docs/write_keeping.py."""
    made = runpy.run_path(str(DOCS / "write_keeping.py"))

    assert made["page"]() == (DOCS / "keep-pixels.md").read_text()


def test_the_page_of_dials_is_generated():
    """Run benchmarks/dial.py and hold.py after measuring, and docs/write_dial.py."""
    made = runpy.run_path(str(DOCS / "write_dial.py"))

    text = made["page"](made["read"]("dial"), made["read"]("hold"))
    assert text == (DOCS / "dial.md").read_text()


def test_the_plugin_table_is_generated():
    """Run docs/write_readme_table.py after adding a plugin."""
    made = runpy.run_path(str(DOCS / "write_readme_table.py"))
    text = (ROOT / "README.md").read_text()

    assert made["with_table"](text) == text


@pytest.mark.parametrize("page", ["hooks.md", "registration-hooks.md"])
def test_the_pages_of_hooks_are_generated(page):
    """Run docs/write_hooks_page.py after changing a spec, or who implements it."""
    made = runpy.run_path(str(DOCS / "write_hooks_page.py"))
    text = (DOCS / page).read_text()

    assert made["with_specs"](page, text) == text

"""``refhooks edit``: what reaches the editor, and what it writes."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image, ImageChops
from places import TESTS

import refhooks as rh
from refhooks.cli._parse import parse_reference


def same(one, other):
    """Whether two files hold the same picture."""
    return ImageChops.difference(Image.open(one), Image.open(other)).getbbox() is None


def names(folder):
    """The files in a folder."""
    return sorted(place.name for place in folder.iterdir())


def test_an_edit_is_that_of_the_editor(edit, editor_like, folder):
    """Without options of its own the command is ``Editor.edit`` on the embedded model."""
    result = edit()
    assert result.exit_code == 0, result.stderr
    expected = editor_like.edit("photo.png", "make it blue", steps=2, seed=1)
    expected.save("expected.png")
    assert same("expected.png", "out.png")
    assert names(folder) == ["expected.png", "out.png", "photo.png"]


@pytest.fixture
def editor_like(toy, pipe):
    """An editor on the model that the command uses."""
    return rh.Editor(pipe, checkpoint=toy.checkpoint)


def test_the_last_line_says_what_was_written(edit):
    """File, size, seed and seconds, alone on stdout."""
    result = edit()
    assert result.stdout.startswith("wrote out.png (32x32), seed 1, ")
    assert result.stdout.count("\n") == 1


def test_the_embedded_model_says_so_in_one_line(edit):
    """The note names the option for a real model; with ``--model`` there is none."""
    [line] = edit().stderr.splitlines()
    assert line.startswith("note: editing with the embedded model 'toy'")
    assert "--model Qwen/" in line
    assert edit("--model", "toy").stderr == ""


class Recorder:
    """Stands in for an editor, and keeps the arguments of its call."""

    def __init__(self, pipe, checkpoint):
        self._editor = rh.Editor(pipe, checkpoint=checkpoint)
        self.loaded = self.edited = None
        self.pipe, self.family = self._editor.pipe, self._editor.family

    def load(self, name, **options):
        self.loaded = {"name": name, **options}
        return self

    def edit(self, *arguments, **options):
        self.edited = {"image": arguments[0], "prompt": arguments[1], **options}
        return self._editor.edit("photo.png", "x", steps=2, seed=1)


@pytest.fixture
def recorder(monkeypatch, pipe, toy):
    """What the command passes on to the editor."""
    seen = Recorder(pipe, toy.checkpoint)
    monkeypatch.setattr(rh.Editor, "from_pretrained", seen.load)
    return seen


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        (["--steps", "7"], "steps", 7),
        (["--seed", "9"], "seed", 9),
        (["-n", "3"], "n", 3),
        (["--cfg", "3.5"], "cfg", 3.5),
        (["--negative", "rain"], "negative_prompt", "rain"),
        ([], "negative_prompt", " "),
        (["--resolution", "4096"], "resolution", 4096),
        (["--height", "48"], "height", 48),
        (["--width", "64"], "width", 64),
        (["--method", "inject"], "strategy", rh.Stage("inject", 1.0)),
        (["--strength", "0.4"], "strategy", rh.Stage("default", 0.4)),
        (["--strength", "0"], "strategy", rh.Stage("default", 0.0)),
        (["--method", "inject", "--strength", "2"], "strategy", rh.Stage("inject", 2.0)),
        ([], "strategy", None),
        (["--ref", "photo.png"], "references", [rh.Reference("photo.png")]),
        (
            ["--ref", "photo.png:inject:0.5", "--ref", "photo.png:default"],
            "references",
            [
                rh.Reference("photo.png", rh.Stage("inject", 0.5)),
                rh.Reference("photo.png", rh.Stage("default", 1.0)),
            ],
        ),
    ],
)
def test_each_option_of_the_edit_reaches_the_editor(cli, recorder, arguments, name, expected):
    """With its name and type in ``Editor.edit``."""
    result = cli("edit", "photo.png", "make it blue", "-o", "out.png", *arguments)
    assert result.exit_code == 0, result.stderr
    assert expected == recorder.edited[name]


def test_picture_and_prompt_reach_the_editor(cli, recorder):
    """As they were given."""
    cli("edit", "photo.png", "make it blue", "-o", "out.png")
    assert recorder.edited["image"] == "photo.png"
    assert recorder.edited["prompt"] == "make it blue"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"name": "toy", "device": None, "dtype": None}),
        (["--model", "toy"], {"name": "toy", "device": None, "dtype": None}),
        (["--model", "a/b", "--device", "cpu"], {"name": "a/b", "device": "cpu", "dtype": None}),
        (["--dtype", "bfloat16"], {"name": "toy", "device": None, "dtype": "bfloat16"}),
    ],
)
def test_each_option_of_the_model_reaches_the_loader(cli, recorder, arguments, expected):
    """An embedded model stays where it is loaded unless ``--device`` says otherwise."""
    result = cli("edit", "photo.png", "make it blue", "-o", "out.png", *arguments)
    assert result.exit_code == 0, result.stderr
    assert expected == recorder.loaded


def test_a_real_model_goes_to_the_accelerator(cli, recorder, monkeypatch):
    """Where there is one: nobody means to run 20 billion parameters on a CPU."""
    accelerator = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: accelerator)
    cli("edit", "photo.png", "make it blue", "-o", "out.png", "--model", "a/b")
    assert recorder.loaded["device"] == "cuda"


@pytest.mark.parametrize(("model", "expected"), [("toy", [1]), ("a/b", [])])
@pytest.mark.usefixtures("recorder")
def test_the_embedded_model_runs_on_one_thread(cli, monkeypatch, model, expected):
    """More of them wait for each other; a real model takes what there is."""
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    cli("edit", "photo.png", "make it blue", "-o", "out.png", "--model", model)
    assert threads == expected


def test_a_model_folder_edits(cli, small_stock, folder):
    """``--model`` takes a folder that ``save_pretrained`` wrote."""
    tiny.build("plus", "middle").save_pretrained("model")
    arguments = ["--model", "model", "--steps", "2", "--cfg", "1"]
    result = cli("edit", "photo.png", "x", "-o", "out.webp", "--resolution", "1024", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    with Image.open("out.webp") as picture:
        assert picture.format == "WEBP"


def test_several_pictures_are_numbered(edit, folder):
    """From consecutive seeds; the one with the plain name is left alone."""
    result = edit("-n", 2)
    assert names(folder) == ["out-1.png", "out-2.png", "photo.png"]
    assert "wrote out-1.png to out-2.png (32x32), seeds 1 to 2, " in result.stdout
    edit("--seed", 2, output="second.png")
    assert same("second.png", "out-2.png")


def test_without_a_seed_one_is_drawn_and_printed(cli, toy):
    """The printed seed gives the picture again."""
    arguments = ["edit", "photo.png", "x"]
    seed = cli(*arguments, "-o", "one.png").stdout.split("seed ")[1].split(",")[0]
    cli(*arguments, "-o", "two.png", "--seed", seed)
    assert same("one.png", "two.png")


def test_a_preview_is_written_every_n_steps(edit, monkeypatch):
    """Beside the output, at steps 2 and 4 of 5; the result does not change for it."""
    written = []
    monkeypatch.setattr(
        "refhooks.cli._preview.save_picture",
        lambda picture, place: written.append((str(place), picture.size)),
    )
    edit("--steps", 5, output="plain.png")
    edit("--steps", 5, "--preview-every", 2)
    assert written == [("out.preview.png", (32, 32))] * 2
    assert same("plain.png", "out.png")


def test_the_preview_of_the_last_step_is_the_picture(edit):
    """At the last step the predicted clean latents are the final ones."""
    edit("--preview-every", 1, "--strength", 0.5, "--ref", "photo.png:inject:0.5")
    assert same("out.png", "out.preview.png")


def test_the_preview_of_several_pictures_shows_all(edit):
    """As a sheet: it is wider than one picture."""
    edit("-n", 2, "--preview-every", 1)
    with Image.open("out.preview.png") as picture:
        assert picture.width > 2 * 32


def test_a_preview_that_cannot_be_written_does_not_end_the_run(edit, monkeypatch):
    """A disk that fills up at step 1 may be empty again at the last."""

    def fail(*_):
        raise rh.InputError("the disk is full")

    monkeypatch.setattr("refhooks.cli._preview.save_picture", fail)
    result = edit("--preview-every", 1, "--model", "toy")
    assert (result.exit_code, result.stderr) == (0, "warning: no preview: the disk is full\n")
    assert Path("out.png").is_file()


@pytest.mark.parametrize(
    "name", ["C:coat.png", "a:b:c.png", "coat.png:inject", "x:0.5", "naïve 日.png"]
)
@pytest.mark.parametrize(
    ("tail", "strategy"),
    [
        ("", None),
        (":inject", rh.Stage("inject", 1.0)),
        (":default:1e-1", rh.Stage("default", 0.1)),
        (":cross_attn:0.4:1.0", rh.Stage("cross_attn", "0.4:1.0")),
        (":cross_attn:0.4:1.0:cosine", rh.Stage("cross_attn", "0.4:1.0:cosine")),
        (":inject:0@0.4,0.5@0.8,1@1.2", rh.Stage("inject", "0@0.4,0.5@0.8,1@1.2")),
    ],
)
def test_a_reference_may_have_colons_in_its_name(folder, name, tail, strategy):
    """What follows the file is a method and a strength, which may hold colons too."""
    Image.new("RGB", (8, 8)).save(folder / name, format="PNG")
    assert rh.Reference(name, strategy) == parse_reference(name + tail, rh.load_registry())


def test_a_windows_path_is_not_split(folder):
    """Its tail is neither a method nor a number, whether the file is there or not."""
    name = "C:\\pictures\\coat.png"
    assert rh.Reference(name) == parse_reference(name, rh.load_registry())
    for strength in (0.5, "0.4:1.0:cosine"):
        expected = rh.Reference(name, rh.Stage("inject", strength))
        assert expected == parse_reference(f"{name}:inject:{strength}", rh.load_registry())


def test_of_two_files_the_longer_name_is_meant(folder):
    """Where both readings name a picture that is there."""
    for name in ("coat.png", "coat.png:inject"):
        Image.new("RGB", (8, 8)).save(folder / name, format="PNG")
    expected = rh.Reference("coat.png:inject", rh.Stage("default", "0.4:1.0"))
    assert expected == parse_reference("coat.png:inject:default:0.4:1.0", rh.load_registry())
    expected = rh.Reference("coat.png", rh.Stage("inject", "0.4:1.0"))
    assert expected == parse_reference("coat.png:inject:0.4:1.0", rh.load_registry())


def test_a_reference_takes_a_strength_over_the_steps(edit, recorder):
    """The short forms of ``--strength``."""
    edit("--ref", "photo.png:cross_attn:0.4:1.0", "--ref", "photo.png:inject:0@0.4,1@1.2")
    given = [reference.strategy for reference in recorder.edited["references"]]
    assert [rh.Stage("cross_attn", "0.4:1.0"), rh.Stage("inject", "0@0.4,1@1.2")] == given


@pytest.mark.timeout(120)
def test_ctrl_c_leaves_nothing_half_written(folder):
    """A signal in the middle of a run: 130, the old output as it was, no file left over."""
    script = """
        import signal
        import sys
        sys.path.insert(0, sys.argv.pop(1))
        import tiny
        import refhooks as rh
        from refhooks.cli import main

        # A shell that starts the tests in the background lets its children ignore the signal.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pipe = tiny.build("plus", "middle")
        sizes = rh.Checkpoint(output=1024, reference=1024, vision=1024)
        model = rh.EmbeddedModel("toy", "", lambda: pipe, sizes)
        rh.load_registry().models["toy"] = model
        main(prog_name="refhooks")
    """
    Path("out.png").write_bytes(b"old")
    command = [sys.executable, "-c", textwrap.dedent(script), str(TESTS), "edit", "photo.png", "x"]
    options = ["-o", "out.png", "--steps", "1000", "--preview-every", "1", "--model", "toy"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not Path("out.preview.png").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "interrupted: nothing half-written was left behind"
    assert Path("out.png").read_bytes() == b"old"
    assert names(folder) == ["out.png", "out.preview.png", "photo.png"]


def test_a_preview_that_comes_after_the_last_step_is_told(edit):
    """There is none."""
    result = edit("--steps", 2, "--preview-every", 3)
    assert "warning: --preview-every 3: of 2 steps there is no preview" in result.stderr

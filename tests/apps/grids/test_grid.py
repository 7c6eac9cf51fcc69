"""``refhooks grid``: every cell once, kept, resumed, and whole or not at all."""

from __future__ import annotations

import functools
import operator
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from accelerate import cpu_offload
from accelerate.hooks import remove_hook_from_module
from peft import LoraConfig
from PIL import Image
from torch.testing._internal.two_tensor import TwoTensor

import refhooks as rh
from refhooks._apps.grids.fingerprint import fingerprint, key
from refhooks._base.contact_sheets import MARGIN, make_table

TWO = ["--methods", "default,inject", "--strengths", "0,1"]


def cells():
    """The names of the pictures that are kept."""
    return sorted(path.name for path in Path("grid.cells").iterdir())


def test_every_cell_is_the_edit_it_says(grid, folder, pipe):
    """To the bit; its name says which it is, and its recipe how to make it again."""
    assert grid(*TWO, "--seeds", "1,2").exit_code == 0

    assert len(cells()) == 8
    [place] = Path("grid.cells").glob("inject_1_seed1_*.png")
    area = 32 * 32
    editor = rh.Editor(
        pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area, cfg=2.0)
    )
    alone = editor.edit(
        "photo.png", "make it blue", strategy=rh.Stage("inject", 1.0), seed=1, steps=2
    )
    with Image.open(place) as picture:
        assert np.array_equal(np.array(picture), np.array(alone.image))
    assert rh.load_recipe(place).seed == 1


def test_the_model_loads_once_and_a_second_run_makes_nothing(grid, loads, edits):
    """It says what was there, and writes the sheet again."""
    grid(*TWO)
    first = Path("grid.png").read_bytes()
    assert (len(loads), len(edits)) == (1, 4)
    Path("grid.png").unlink()

    second = grid(*TWO)

    assert (len(loads), len(edits)) == (2, 4)
    assert "4 of them there before" in second.stdout
    assert Path("grid.png").read_bytes() == first


def test_an_interrupted_grid_goes_on_where_it_was(grid, edits, monkeypatch):
    """What was made is kept; there is no sheet until all of it is."""
    original = rh.Editor.edit

    @functools.wraps(original)
    def interrupted(self, *arguments, **options):
        if len(edits) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(rh.Editor, "edit", interrupted)
        assert grid(*TWO).exit_code == 130
    assert len(cells()) == 2
    assert not Path("grid.png").exists()
    assert not list(Path().glob("**/*.part"))

    assert grid(*TWO).exit_code == 0
    assert len(edits) == 4


def test_a_damaged_cell_is_made_again(grid, edits):
    """Half a picture is none."""
    grid(*TWO)
    place = next(Path("grid.cells").iterdir())
    place.write_bytes(place.read_bytes()[:50])

    grid(*TWO)

    assert len(edits) == 5
    with Image.open(place) as picture:
        picture.load()


@pytest.mark.parametrize(
    "change",
    [
        ["--seeds", "5"],
        ["--cfg", "3"],
        ["--negative", "red"],
        ["--denoise", "0.5"],
        ["--edit-mask", "0,0,50%,100%"],
        ["--mask-region", "0,0,50%,100%"],
        ["--ref", "photo.png"],
        ["--width", "48"],
    ],
)
def test_another_input_makes_other_cells(grid, edits, change):
    """Whatever it is; the old ones stay."""
    grid("--strengths", "1")
    grid("--strengths", "1", *change)
    assert len(edits) == 2
    assert len(cells()) == 2


def test_another_picture_of_the_same_name_makes_other_cells(grid, edits):
    """Pixels count, not names; the same ones under another name are the same."""
    grid("--strengths", "1")
    Path("photo.png").rename("other.png")
    grid("--strengths", "1", image="other.png")
    assert len(edits) == 1
    Image.new("RGB", (32, 24), "red").save("other.png")
    grid("--strengths", "1", image="other.png")
    assert len(edits) == 2


def test_other_weights_make_other_cells(grid, edits, pipe):
    """A retrained model of the same name is another model."""
    grid("--strengths", "1")
    weight = pipe.transformer.img_in.weight.data
    weight[0, 0] += 1.0
    try:
        grid("--strengths", "1")
    finally:
        weight[0, 0] -= 1.0
    assert len(edits) == 2


@pytest.mark.filterwarnings("ignore:.*adapter.*:UserWarning")
def test_what_no_weight_shows_makes_another_model():
    """The scale of a LoRA, whether it acts, and the noise levels; put back, it is the same one."""
    pipe = tiny.build("plus", "middle")
    editor = rh.Editor(pipe)
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q"]), "one")
    seen = [fingerprint(editor, "m")]
    pipe.set_adapters(["one"], [0.5])
    seen.append(fingerprint(editor, "m"))
    pipe.disable_lora()
    seen.append(fingerprint(editor, "m"))
    pipe.scheduler.register_to_config(shift_terminal=0.5)
    seen.append(fingerprint(editor, "m"))

    assert len(set(seen)) == 4
    assert fingerprint(editor, "m") == seen[-1]


def test_weights_that_are_offloaded_or_of_several_parts_are_looked_at():
    """By the map that accelerate keeps, and by what is inside; what cannot be is never equal."""
    pipe = tiny.build("plus", "middle")
    editor, layer = rh.Editor(pipe), pipe.transformer.img_in
    maps = operator.attrgetter("weights_map")
    cpu_offload(layer, execution_device="cpu")
    assert layer.weight.is_meta
    seen = [fingerprint(editor, "m"), fingerprint(editor, "m")]
    held = next(held_ for held_ in map(maps, layer._hf_hook.hooks) if held_ is not None)
    held["weight"][0, 0] += 1.0
    seen.append(fingerprint(editor, "m"))
    remove_hook_from_module(layer)
    layer.weight = torch.nn.Parameter(TwoTensor(torch.ones(2, 2), torch.ones(2, 2)))
    seen += [fingerprint(editor, "m"), fingerprint(editor, "m")]
    layer.weight = torch.nn.Parameter(TwoTensor(torch.ones(2, 2), torch.zeros(2, 2)))
    seen.append(fingerprint(editor, "m"))
    layer.weight = torch.nn.Parameter(torch.ones(2, 2, device="meta"))

    assert seen[0] == seen[1]
    assert seen[3] == seen[4]
    assert len(set(seen)) == 4
    assert fingerprint(editor, "m") != fingerprint(editor, "m")


def test_another_file_of_a_method_makes_other_cells(folder):
    """Its content counts, as that of a mask; a file that is not there is the edit's to refuse."""
    arguments = {"strategy": rh.Strategy(rh.method("concat", projection="p.safetensors"))}
    seen = [key("m", arguments)]
    for content in (b"one", b"two"):
        Path("p.safetensors").write_bytes(content)
        seen.append(key("m", arguments))

    assert len(set(seen)) == 3
    assert key("m", arguments) == seen[-1]


def test_a_key_is_the_same_in_another_process(grid, folder):
    """Or nothing could be resumed: no key holds an address or a random hash."""
    arguments = (
        "dict(image=rh.Reference('photo.png', rh.Stage('inject', '0:1')),"
        " edit_mask=rh.mask('0,0,9,9'), seed=1)"
    )
    imports = "from refhooks._apps.grids.grid import key; import refhooks as rh"
    code = f"{imports}; print(key('m', {arguments}))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert key("m", eval(arguments)) == other.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rows", "denoise=0.5,1"], [{"denoise": 0.5}, {"denoise": 1.0}]),
        (["--columns", "steps=2,3"], [{"steps": 2}, {"steps": 3}]),
        (["--columns", "cfg=1,2.5"], [{"cfg": 1.0}, {"cfg": 2.5}]),
        (["--rows", "seed=7,8"], [{"seed": 7}, {"seed": 8}]),
        (
            ["--rows", "vision=auto,never"],
            [{"strategy": rh.Strategy("default", vision=it)} for it in ("auto", "never")],
        ),
        (
            ["--rows", "inject.formula=add,blend"],
            [{"strategy": rh.Strategy(rh.method("inject", formula=it))} for it in ("add", "blend")],
        ),
        (
            ["--columns", "strength=0:1;0@0.2,1@0.8"],
            [{"strategy": rh.Strategy(rh.Stage("default", it))} for it in ("0:1", "0@0.2,1@0.8")],
        ),
    ],
)
def test_every_field_can_be_varied(grid, edits, arguments, expected):
    """One, or two; an option of a method names the method with it."""
    result = grid(*arguments)
    assert result.exit_code == 0, result.output
    for made, wanted in zip(edits, expected, strict=True):
        assert {name: made[name] for name in wanted} == wanted


def test_a_stage_of_a_file_is_varied_by_its_number(grid, edits, folder):
    """Two fields of two stages."""
    Path("s.toml").write_text(
        '[[stage]]\nmethod = "default"\nuntil = 0.5\n[[stage]]\nmethod = "inject"\n'
    )
    result = grid(
        "--strategy", "s.toml", "--rows", "1.until=0.25,0.75", "--columns", "2.strength=1"
    )
    assert result.exit_code == 0, result.output
    stages = [made["image"].strategy.stages for made in edits]
    assert [stage[0].until for stage in stages] == [0.25, 0.75]
    assert {stage[1].strength for stage in stages} == {1.0}
    refused = grid("--strategy", "s.toml", "--columns", "strength=1")
    assert "say which, as 1.strength" in refused.stderr


def test_without_a_field_all_methods_are_shown(grid, folder):
    """At four strengths; one that the model cannot do is left out, and it says why."""
    result = grid()
    assert result.exit_code == 0, result.output
    names = {name.split("_0_seed0")[0] for name in cells() if "_0_seed0" in name}
    assert names == {"default", "inject", "cross_attn", "guidance"}
    assert "without concat" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--method", "inject"], ["0_seed0", "0.5_seed0", "1_seed0", "1.5_seed0"]),
        (["--preset", "color-change"], ["0_seed0", "0.5_seed0", "1_seed0", "1.5_seed0"]),
        (["--strength", "0.4"], ["cross_attn_seed0", "default_seed0", "guidance_seed0",
                                 "inject_seed0"]),
    ],
)  # fmt: skip
def test_what_is_given_is_not_varied(grid, edits, arguments, expected):
    """Only what the edit leaves open is; every cell has what was given."""
    result = grid(*arguments)

    assert result.exit_code == 0, result.output
    assert sorted(name.rpartition("_")[0] for name in cells()) == sorted(expected)
    given = [options["strategy"] or options["image"].strategy for options in edits]
    stages = [strategy.stages[0] for strategy in given]
    if "--strength" in arguments:
        assert {stage.strength for stage in stages} == {0.4}
    else:
        assert {stage.method for stage in stages} == {"inject"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "defalt"], "Did you mean 'default'"),
        (["--methods", "default,default"], "there twice"),
        (["--strengths", "0,3"], "2"),
        (["--strengths", "0,,1"], "empty value"),
        (["--strengths", "high"], "strength=high"),
        (["--rows", "streng=1"], "Did you mean 'strength'"),
        (["--rows", "strength"], "FIELD=VALUE"),
        (["--rows", "strength=1", "--columns", "strength=0"], "vary two fields"),
        (["--rows", "method=inject", "--methods", "inject"], "leave one out"),
        (["--rows", "inject.formul=add"], "Did you mean 'formula'"),
        (["--rows", "inject.formula=sum"], "formula"),
        (["--rows", "method=default", "--columns", "inject.formula=add"], "'default' there"),
        (["--rows", "2.strength=1"], "has 1 stage"),
        (["--rows", "2.denoise=1"], "no field of a stage"),
        (["--rows", "0.strength=1"], "counted from 1"),
        (["--rows", "denoise=0,1"], "denoise"),
        (["--rows", "steps=1.5"], "whole number"),
        (["--rows", "cfg=101"], "cfg"),
        (["--rows", "vision=often"], "vision"),
        (["--rows", "until=0.5"], "leave its until out"),
        (["--rows", "seed=1,2", "--seeds", "1,2"], "leave --seeds out"),
        (["--seeds", "1,x"], "no whole number"),
        (["--seeds", ",".join(map(str, range(900))), "--strengths", "0,1,1.5"], "at most 2000"),
        (["--cells", "photo.png"], "cannot be made"),
        (["--strength", "0.4", "--strengths", "0,1"], "--strength 0.4 is one strength"),
        (["--method", "inject", "--methods", "inject,default"], "--method inject is one method"),
        (["--method", "inject", "--strength", "1"], "nothing is varied"),
        (["--preset", "color-change", "--strength", "1"], "nothing is varied"),
        (["--strengths", "1", "--plot", "photo.png"], "photo.png is one of the files to read"),
        (["--strengths", "1", "--plot", "grid.png"], "grid.png is one of the files to read"),
        (["--methods", "default", "--plot", "p.png"], "must then be numbers"),
        (["--strengths", "1", "--plot", "p.jpg"], ".png"),
        (["--strengths", "1", "--tile", "1"], "--tile"),
    ],
)
def test_bad_input_is_refused_before_the_model_loads(grid, loads, arguments, message):
    """With the option and the value; nothing is written."""
    result = grid(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert loads == []
    assert sorted(path.name for path in Path().iterdir()) == ["photo.png"]


def test_every_cell_is_planned_before_the_first_picture(grid, edits, pipe, monkeypatch):
    """A prompt beyond the positions, tiles with gaps; also where only the last column has it."""
    refused = [grid("--columns", "cfg=1,2", "--negative", "red and " * 3000)]
    monkeypatch.setattr(pipe.vae, "use_tiling", True)
    monkeypatch.setattr(pipe.vae, "tile_sample_min_height", 16)
    refused.append(grid("--columns", "cfg=1,2"))

    assert [result.exit_code for result in refused] == [2, 2]
    assert "the negative prompt comes to" in refused[0].stderr
    assert "16 pixels with a stride of 192" in " ".join(refused[1].stderr.split())
    assert edits == []


def test_curves_are_drawn_over_the_columns(grid, folder):
    """With matplotlib; a curve a method."""
    pytest.importorskip("matplotlib")
    result = grid(*TWO, "--seeds", "1,2", "--plot", "curves.png")
    assert result.exit_code == 0, result.output
    with Image.open("curves.png") as plot:
        assert plot.size == (1440, 384)


def test_without_matplotlib_a_plot_is_refused_first(grid, loads, monkeypatch):
    """With what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = grid(*TWO, "--plot", "curves.png")
    assert 'pip install "refhooks[plot]"' in result.stderr
    assert loads == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (10, 10)])
def test_a_table_has_every_picture_in_its_place(shape):
    """Each has its own colour; none is covered by a label."""
    lines, columns = shape
    colours = np.arange(lines * columns * 3, dtype=np.uint8).reshape(lines, columns, 3)
    rows = [[Image.new("RGB", (64, 48), tuple(map(int, c))) for c in line] for line in colours]
    labels, heads = [f"row {n}" for n in range(lines)], [f"head {n}" for n in range(columns)]
    sheet = np.array(make_table(rows, labels, heads, title="title", notes="notes"))

    factor = 2 if columns == 10 else 8
    weights = np.array([65536, 256, 1])
    found = dict(zip(*np.unique(sheet @ weights, return_counts=True), strict=True))
    assert {found[colour] for colour in (colours @ weights).flatten()} == {64 * 48 * factor**2}
    assert sheet.shape[1] <= 1800


def test_a_row_without_a_name_takes_no_room(folder):
    """The pictures start at the margin."""
    red = Image.new("RGB", (64, 64), "red")
    sheet = np.array(make_table([[red]], [""], ["a"], title="t"))
    assert np.nonzero((sheet == (255, 0, 0)).all(axis=-1).any(axis=0))[0][0] == MARGIN

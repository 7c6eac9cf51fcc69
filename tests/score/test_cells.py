"""Cells: what they are known by, those that show what strength does, and those of a file."""

from __future__ import annotations

import warnings

import pytest

import refhooks as rh
from refhooks.errors import InputError, RefhooksError, StrategyError
from refhooks.score import Cell, Settings, read_cells, strength_cells

FILE = """
[[cell]]
name = "gentle"
method = "inject"
strength = 0.5
denoise = 0.9
steps = 4
kinds = ["local"]

[[cell]]
name = "two methods"
seed = 7
attention = true
[[cell.stage]]
method = { method = "inject", formula = "blend" }
until = 0.5
[[cell.stage]]
method = "default"
strength = "0.4:1.2"
"""


PLUGGED = """
[[cell]]
name = "inside"
method = "default"
strength = 1.0
[[cell.plugin]]
plugin = "align"
value = true
"""


@pytest.fixture
def write(tmp_path):
    """Write a file of cells."""

    def write(text):
        path = tmp_path / "cells.toml"
        path.write_text(text)
        return path

    return write


def test_a_cell_is_known_by_what_it_does():
    """Not by its labels; what means the same has the same key."""
    filled = [
        cell.within(Settings(), 16, 2.0)
        for cell in (
            Cell("a", "default", strength=1.0),
            Cell("b", rh.Strategy([rh.Stage("default", 1.0)]), method="x"),
            Cell("c", steps=16, cfg=2.0),
        )
    ]
    others = [
        cell.within(Settings(), 16, 2.0)
        for cell in (
            Cell("d", rh.Stage("default", 0.5)),
            Cell("e", others="inject"),
            Cell("f", denoise=0.5),
            Cell("g", steps=8),
            Cell("h", cfg=3.0),
            Cell("i", seed=1),
            Cell("j", attention=True),
            Cell("k", plugins=[rh.plugin("edit-mask", value=rh.mask("0,0,8,8"))]),
        )
    ]

    assert len({cell.key("default") for cell in filled}) == 1
    assert len({cell.key("default") for cell in [filled[0], *others]}) == 9


def test_settings_fill_what_a_cell_leaves_open():
    """And after them the model; seeds are added up."""
    settings = Settings(steps=8, cfg=0.0, seed=100)

    assert Cell("a", seed=5).within(settings, 16, 2.0).seed == 105
    assert Cell("a").within(settings, 16, 2.0).steps == 8
    assert Cell("a", steps=4).within(settings, 16, 2.0).steps == 4
    assert Cell("a").within(settings, 16, 2.0).cfg == 0.0
    assert Cell("a").within(Settings(), 16, 2.0).cfg == 2.0


def test_a_function_has_another_key_each_time():
    """Nothing says whether two functions do the same."""
    cell = Cell("a", rh.Stage("default", rh.schedule("callable", function=lambda _step: 1.0)))

    assert cell.key("default") != cell.key("default")


def test_the_cells_of_strength():
    """Methods over strengths; at 1 over denoise, schedules, and switches to each other method."""
    cells = strength_cells(["inject", "default"], (0, 1), (0.5, 1.0))
    names = [cell.name for cell in cells]

    assert names[:8] == [
        *["inject 0", "inject 1", "inject 1 denoise 0.5", "inject rising", "inject falling"],
        *["inject cosine", "inject early", "inject late"],
    ]
    assert names[-2:] == ["inject then default", "default then inject"]
    assert len(names) == len(set(names)) == 18
    assert [cell.denoise for cell in cells[:3]] == [1.0, 1.0, 0.5]
    for cell in cells:
        assert len(rh.plan(cell.strategy, 4).steps) == 4


def test_the_early_half_is_early():
    """At 1 and then off; the late one the other way round; a switch stays at 1."""
    cells = {cell.name: cell for cell in strength_cells(["inject", "default"], (1,), ())}

    def strengths(name):
        return rh.plan(cells[name].strategy, 4).strengths(0)

    assert list(strengths("inject early")) == [1, 1, 0, 0]
    assert list(strengths("inject late")) == [0, 0, 1, 1]
    assert list(strengths("inject then default")) == [1, 1, 1, 1]
    assert strengths("inject rising")[0] == pytest.approx(0.4)
    assert strengths("inject falling")[-1] == pytest.approx(0.4)


def test_cells_of_a_file(write):
    """As the same values in Python."""
    gentle, two = read_cells(write(FILE))

    assert gentle == Cell(
        "gentle", rh.Strategy(rh.Stage("inject", 0.5)), denoise=0.9, steps=4, kinds=["local"],
        method="inject", strength=0.5,
    )  # fmt: skip
    blend = rh.method("inject", formula="blend")
    assert two == Cell(
        "two methods",
        rh.Strategy([rh.Stage(blend, until=0.5), rh.Stage("default", "0.4:1.2")]),
        seed=7, attention=True,
        method="inject then default", schedule="switch",
    )  # fmt: skip


@pytest.mark.parametrize(
    "own",
    ['method = { method = "inject", formula = "blend" }', 'method = "inject"\nvision = "never"',
     'method = "inject"\n[[cell.mask]]\nbox = "0,0,8,8"'],
)  # fmt: skip
def test_only_plain_cells_stand_on_the_curve_of_their_method(write, own):
    """Two values at one strength would be one line."""
    (cell,) = read_cells(write(f'[[cell]]\nname = "a"\nstrength = 0.5\n{own}'))

    assert (cell.method, cell.strength) == ("inject", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there must be 1 to 10,000 [[cell]] tables"),
        ("[[cells]]", "unknown key 'cells'. Did you mean 'cell'?"),
        ('[[cell]]\nmethod = "inject"', "cell 1: name must be a text, got None"),
        ('[[cell]]\nname = "a\\nb"\nmethod = "inject"', "cell 1: name must be one line"),
        ('[[cell]]\nname = "a"', "cell 1: give method and strength"),
        ('[[cell]]\nname = "a"\nstrength = 1', "cell 1, stage 1: method is missing"),
        ('[[cell]]\nname = "a"\nmethod = "inejct"', "Did you mean 'inject'?"),
        ('[[cell]]\nname = "a"\nmethod = "inject"\nstrength = 3', "strength must be a number"),
        ('[[cell]]\nname = "a"\nmethod = "inject"\ndenoise = 0', "denoise must be above 0"),
        ('[[cell]]\nname = "a"\nmethod = "inject"\nattention = 1', "must be true or false"),
        ('[[cell]]\nname = "a"\nmethod = "inject"\n[[cell.stage]]\nmethod = "default"',
         "cell 1: method is short for one stage"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_named(write, text, said):
    """With its number and its key."""
    path = write(text)

    with pytest.raises(RefhooksError) as caught:
        read_cells(path)

    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [{"denoise": 0}, {"denoise": 1.5}, {"steps": 0}, {"seed": -1}, {"cfg": True}, {"kinds": ()},
     {"strength": 3}],
)  # fmt: skip
def test_a_field_out_of_its_range_is_refused(given):
    """When the cell is made."""
    with warnings.catch_warnings(), pytest.raises((InputError, StrategyError)):
        Cell("a", **given)


def test_a_cell_of_a_file_has_run_plugins(write):
    """Its own, as a strategy file has them; it is then not on the curve of its method."""
    (cell,) = read_cells(write(PLUGGED))

    assert cell.plugins == (rh.plugin("align", value=True),)
    assert (cell.method, cell.strength) == ("default", None)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            'plugin = "align"\nvalve = true',
            "cell 1, plugin 1: plugin 'align' has no option 'valve'",
        ),
        ('plugin = "edit-musk"', "cell 1, plugin 1: there is no plugin 'edit-musk'"),
        ("value = 1", "cell 1, plugin 1: a table here needs the key 'plugin'"),
    ],
)
def test_a_plugin_of_a_cell_is_refused_by_its_place(write, written, message):
    """File, cell and plugin."""
    text = PLUGGED.partition("plugin = ")[0] + written
    with pytest.raises(RefhooksError, match=message):
        read_cells(write(text))


def test_a_cell_with_keep_pixels_is_read(tmp_path):
    """With its options; what it cannot be is told with the cell's name."""
    text = '[[cell]]\nname = "kept"\nmethod = "default"\n[[cell.plugin]]\nplugin = "keep_pixels"\n'
    place = tmp_path / "cells.toml"
    place.write_text(f"{text}threshold = 0.05\n")

    (cell,) = read_cells(place)

    assert cell.plugins == (rh.plugin("keep_pixels", threshold=0.05),)
    place.write_text(f"{text}threshold = 1.5\n")
    with pytest.raises(rh.InputError, match=r"threshold must be.*1\.5"):
        read_cells(place)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('method = "inject", formula = "gates"', "formula.*gates"),
        ('method = "cross_attn", gain = "odd"', "gain.*odd"),
    ],
)
def test_a_form_that_is_not_there_is_told(tmp_path, options, message):
    """By what there is, before anything runs."""
    place = tmp_path / "cells.toml"
    place.write_text(f'[[cell]]\nname = "x"\n[[cell.stage]]\nmethod = {{ {options} }}\n')

    with pytest.raises(rh.InputError, match=message):
        read_cells(place)

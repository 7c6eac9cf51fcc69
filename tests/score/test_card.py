"""Scorecards: what is pooled and paired, and that files hold it all."""

from __future__ import annotations

import csv
import json

import attrs
import numpy as np
import pytest

from refhooks.errors import InputError, UnknownNameError
from refhooks.score import Scorecard, _card_file, draw_responses, draw_tradeoff
from refhooks.score._plots import front, tradeoff


def test_figures_are_over_the_kinds_without_references(card):
    """Those that bring more pictures are told apart; a kind, or several, may be asked for."""
    assert card.pooled == ("local", "whole")
    assert card.values("one 1", "done").tolist() == [0.6, 0.7, 0.6]
    assert card.interval("one 1", "done").count == 3
    assert card.values("one 1", "done", "two").tolist() == [0.0]
    assert card.interval("one 1", "done", ["local", "two"]).mean == pytest.approx(1.3 / 3)


def test_what_is_absent_does_not_count(card):
    """Kept has no value for a whole picture, and edges none for the others."""
    assert np.isnan(card.values("one 1", "kept")).tolist() == [False, False, True]
    assert card.interval("one 1", "kept").mean == 0.5
    assert card.interval("one 1", "kept", "whole") is None
    assert card.interval("one 1", "edges", "whole").mean == 0.9
    assert card.interval("one 1", "attention") is None
    assert card.measures == ("done", "kept", "edges")


def test_differences_are_paired(card):
    """Scenes differ by 0.1, their difference by nothing: the interval is a point."""
    found = card.difference("one 1", "one 2", "done")

    assert found.mean == pytest.approx(0.5)
    assert found.high - found.low == pytest.approx(0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("one 3", "done"), "no cell 'one 3'. Did you mean 'one"),
        (("one 1", "dome"), "no measure 'dome'. Did you mean 'done'?"),
        (("one 1", "done", "locals"), "no scene is of the kind 'locals'. Did you mean 'local'?"),
    ],
)
def test_an_unknown_name_is_said(card, arguments, said):
    """With what was probably meant."""
    with pytest.raises(UnknownNameError) as caught:
        card.values(*arguments)
    assert said in str(caught.value)


def test_json_reads_back_as_the_same_card(card, tmp_path):
    """And holds the intervals for those who only read it."""
    place = card.save_json(tmp_path / "card.json")

    assert Scorecard.read_json(place) == card
    held = json.loads(place.read_text())
    assert held["cells"][1]["intervals"]["all"]["kept"]["mean"] == 0.5
    assert "kept" not in held["cells"][1]["intervals"]["whole"]


@pytest.mark.parametrize("text", ["", "{}", '{"format": "refhooks-score", "version": 2}', "[1]"])
def test_what_is_no_scorecard_is_refused(text, tmp_path):
    """One error, with the file's name."""
    place = tmp_path / "card.json"
    place.write_text(text)

    with pytest.raises(InputError, match=r"card\.json"):
        Scorecard.read_json(place)


def test_a_damaged_scorecard_is_refused(card, tmp_path):
    """A value that is none of its field's."""
    place = card.save_json(tmp_path / "card.json")
    place.write_text(place.read_text().replace('"steps": 4', '"steps": "many"'))

    with pytest.raises(InputError, match="is no scorecard"):
        Scorecard.read_json(place)


def _changed(table, path, value):
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value


GONE = object()
CELL, ROW = ("cells", 1), ("cells", 1, "values", "done")
UNFIT = {
    "version true": (("version",), True, "of another version"),
    "version 1.0": (("version",), 1.0, "of another version"),
    "no model": (("model",), GONE, "there is no 'model'"),
    "extra": (("extra",), 1, "unknown key 'extra'"),
    "model": (("model",), ["tiny"], "is no str"),
    "steps text": ((*CELL, "steps"), "4", "cell 2: '4' is no int"),
    "steps float": ((*CELL, "steps"), 4.5, "cell 2: 4.5 is no int"),
    "steps bool": ((*CELL, "steps"), True, "cell 2: True is no int"),
    "no steps": ((*CELL, "steps"), 0, "cell 2: steps must be a whole number from 1"),
    "strength": ((*CELL, "strength"), 2.5, "cell 2: strength must be a number from 0 to 2"),
    "strength text": ((*CELL, "strength"), "1", "cell 2: '1' is no float"),
    "denoise": ((*CELL, "denoise"), 0, "cell 2: denoise must be"),
    "cfg": ((*CELL, "cfg"), 10**18, "cell 2: cfg must be"),
    "seed": ((*CELL, "seed"), -1, "cell 2: seed must be"),
    "huge": ((*CELL, "seed"), 10**400, "beyond 64 bits"),
    "strategy": ((*CELL, "strategy"), [], "cell 2: [] is no table"),
    "name": ((*CELL, "name"), " ", "cell 2: name must be a text"),
    "name long": ((*CELL, "name"), "x" * 10_001, "cell 2: name must be a text"),
    "two of one name": ((*CELL, "name"), "one 0", "two cells are called 'one 0'"),
    "no method": ((*CELL, "method"), GONE, "cell 2: there is no 'method'"),
    "cell key": ((*CELL, "extra"), 1, "cell 2: "),
    "intervals": ((*CELL, "intervals"), 1, "intervals must be a table"),
    "a value too few": (ROW, [0.1, 0.2], "has 2 values of 'done', and there are 4 scenes"),
    "value text": (ROW, ["0.1"] * 4, "cell 2: a value must be a number or null, got '0.1'"),
    "value bool": (ROW, [True] * 4, "cell 2: a value must be a number or null, got True"),
    "values text": (ROW, "0123", "cell 2: a measure must be a list"),
    "values": ((*CELL, "values"), [], "cell 2: values must be a table"),
    "ceiling": (("ceiling",), [], "ceiling: values must be a table"),
    "ceiling row": (("ceiling",), {"kept": [1.0]}, "'kept' has 1 values, and there are 4 scenes"),
    "cells": (("cells",), {}, "cells must be a list of at most 100,000, got {}"),
    "scenes text": (("scenes",), "abcd", "scenes must be a list"),
    "scene": (("scenes", 0), "a", "scene 1: "),
    "scene kind": (("scenes", 0, "kind"), 1, "scene 1: 1 is no str"),
    "scene references": (("scenes", 0, "references"), -1, "scene 1: references must be"),
    "a scene less": (("scenes", 0), GONE, "and there are 3 scenes"),
    "settings": (("settings", "batch"), 0, "settings: batch must be"),
    "settings text": (("settings",), "none", "settings: "),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_strangers_scorecard_is_checked_where_it_is_read(card, tmp_path, kind):
    """One sentence, with the file and the place in it."""
    path, value, said = UNFIT[kind]
    place = card.save_json(tmp_path / "card.json")
    table = json.loads(place.read_text())
    _changed(table, path, value)
    place.write_text(json.dumps(table))

    with pytest.raises(InputError) as caught:
        Scorecard.read_json(place)
    assert str(place) in str(caught.value)
    assert said in str(caught.value)


def test_too_many_cells_are_refused(card, tmp_path, monkeypatch):
    """Before any is looked at."""
    place = card.save_json(tmp_path / "card.json")
    monkeypatch.setattr(_card_file, "MAX_CELLS", 4)

    with pytest.raises(InputError, match="cells must be a list of at most 4, got 5"):
        Scorecard.read_json(place)


@pytest.mark.parametrize("name", ["none.json", "a\0b.json"])
def test_a_scorecard_that_is_not_there_is_said(tmp_path, name):
    """Nor can a file of such a name be."""
    with pytest.raises(InputError, match=r"no file|cannot be read"):
        Scorecard.read_json(tmp_path / name)


def test_csv_has_a_row_a_cell_and_kind(card, tmp_path):
    """And one for the kinds together; what is absent is empty."""
    text = card.save_csv(tmp_path / "card.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))

    assert len(rows) == 5 * 4
    first = {name: rows[0][name] for name in ("cell", "kind", "kept_mean", "kept_count")}
    assert first == {"cell": "one 0", "kind": "all", "kept_mean": "0.0", "kept_count": "2"}
    whole = next(row for row in rows if row["kind"] == "whole")
    assert whole["kept_mean"] == ""


def test_cards_of_the_same_scenes_merge(card):
    """Cells of the second replace those of the same name."""
    other = attrs.evolve(card, cells=(attrs.evolve(card.cells[1], steps=9), card.cells[0]))

    merged = attrs.evolve(card, cells=card.cells[:2]).merged(other)

    assert [(cell.name, cell.steps) for cell in merged.cells] == [("one 0", 4), ("one 1", 9)]
    with pytest.raises(InputError, match="on the same scenes"):
        card.merged(attrs.evolve(card, scenes=card.scenes[::-1]))


def test_a_curve_is_of_constant_strength_alone(card):
    """Not of another denoise, whatever its strength."""
    points = card.curve("one", "kept")

    assert [(strength, found.mean) for strength, found in points] == [(0, 0), (1, 0.5), (2, 0.9)]


def test_the_front_is_what_nothing_beats(card):
    """In both measures, over the scenes that have both, by rising kept."""
    points = tradeoff(card)

    assert [cell.name for cell, _, _ in front(points)] == ["one 1 0.5"]
    assert [cell.name for cell, _, _ in front(points[:3])] == ["one 0", "one 1", "one 2"]
    assert points[0][1].count == 2


def test_equal_cells_share_the_front_and_cells_of_fewer_scenes_have_none(card):
    """The means of the latter are of other scenes."""
    points = tradeoff(card)
    best = front(points)
    twin = (attrs.evolve(best[0][0], name="twin"), *best[0][1:])
    easy = tuple(attrs.evolve(it, mean=1.0, count=1) for it in best[0][1:])

    found = front([*points, twin, (attrs.evolve(twin[0], name="easy"), *easy)])

    assert {cell.name for cell, _, _ in found} == {best[0][0].name, "twin"}


def test_plots_show_each_method_once(card):
    """A line for a method with two strengths; a dot for every cell."""
    lines = [line.get_label() for line in draw_responses(card).axes[0].get_lines()]
    dots = [dot.get_label() for dot in draw_tradeoff(card).axes[0].containers]

    assert lines == ["one"]
    assert dots == ["one", "other"]


def test_the_legend_stays_within_the_picture(card):
    """However many methods there are, and however long their names."""
    one = card.cells[1]
    cells = [
        attrs.evolve(one, name=f"{number}", method=f"one method, then another {number}")
        for number in range(20)
    ]

    figure = draw_tradeoff(attrs.evolve(card, cells=tuple(cells)))

    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width


def test_a_plot_of_nothing_is_refused(card):
    """One strength is no curve; nothing kept is no trade-off."""
    with pytest.raises(InputError, match="no curve"):
        draw_responses(attrs.evolve(card, cells=card.cells[:1]))
    with pytest.raises(InputError, match="no cell has both"):
        draw_tradeoff(card, "whole")

"""Running cells: the same numbers whatever the interruption, and nothing run twice."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal

import forked
import numpy as np
import pytest
import tiny

import refhooks as rh
from refhooks._base import claims
from refhooks.errors import InputError, RefhooksError
from refhooks.score import Cell, Pair, Settings, _run, edit_pairs, run_cells

SETTINGS = Settings(steps=2, cfg=1.0, batch=2)
CELLS = (
    Cell("native", attention=True),
    Cell("weak", rh.Stage("default", 0.5), denoise=0.5),
)


class Counted:
    """Counts how many pictures the transformer was given."""

    def __init__(self, pipe):
        self.pictures = 0
        self._handle = pipe.transformer.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _module, _arguments, options):
        self.pictures += len(options["hidden_states"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._handle.remove()


def interrupted(editor, pairs, store, after):
    """Run until some batches are done."""
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == after:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        run_cells(editor, pairs, CELLS, SETTINGS, store=store, progress=stop)
    assert len(seen) == after


@pytest.mark.parametrize("after", [1, 2, 4])
def test_an_interrupted_run_goes_on(editor, pairs, tmp_path, after):
    """To the same numbers; what was finished is not run again."""
    whole = run_cells(editor, pairs, CELLS, SETTINGS)
    interrupted(editor, pairs, tmp_path, after)
    told = []

    again = run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path, progress=told.append)

    assert again == whole
    assert told[-1].done == told[-1].total < (2 * 4 + 4) * 2
    with Counted(editor.pipe) as counted:
        assert run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path) == whole
    assert counted.pictures == 0


def test_a_torn_line_is_run_again(editor, pairs, tmp_path):
    """Only that, and what is written after it is whole."""
    whole = run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path)
    lines = tmp_path / "batches.jsonl"
    lines.write_bytes(lines.read_bytes()[:-20])

    with Counted(editor.pipe) as counted:
        assert run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path) == whole
    assert counted.pictures == 2  # one picture, two steps
    assert run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path) == whole
    assert len(lines.read_bytes().splitlines()) == 2 * 3 + 1


def test_several_processes_run_each_batch_once(editor, pairs, tmp_path, monkeypatch):
    """Those without a reference too; all of them end with the card of one alone."""
    whole = run_cells(editor, pairs, CELLS, SETTINGS)
    original = _run.edited

    def edited(editor, pairs, cell, *, without):
        name = "without" if without else cell.name
        forked.note(tmp_path / "edits", f"{name} {'+'.join(str(pair.seed) for pair in pairs)}")
        return original(editor, pairs, cell, without=without)

    monkeypatch.setattr(_run, "edited", edited)

    def run():
        told = []
        card = run_cells(
            editor, pairs, CELLS, SETTINGS, store=tmp_path / "store", progress=told.append
        )
        assert card == whole
        assert told[-1].done == told[-1].total

    assert forked.together(*[run] * 4) == [0] * 4

    edits = (tmp_path / "edits").read_text().splitlines()
    batches = ["0+1", "2", "0"]
    expected = [f"{cell.name} {batch}" for cell in CELLS for batch in batches]
    assert sorted(edits) == sorted([*expected, "without 0+1", "without 0"])
    lines = (tmp_path / "store" / "batches.jsonl").read_bytes().splitlines()
    assert len({json.loads(line)["batch"] for line in lines}) == len(lines) == len(expected)
    assert list((tmp_path / "store").glob(".*")) == []


def test_the_batch_of_a_killed_process_is_taken_over(editor, pairs, tmp_path, monkeypatch):
    """It is waited for while that process lives; what it wrote by then is not run again."""
    whole = run_cells(editor, pairs, CELLS, SETTINGS)
    reader, writer = os.pipe()

    def begin():
        def stop(progress):
            if progress.of_cell:
                monkeypatch.setattr(_run, "measure", stuck)

        run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path, progress=stop)

    def stuck(_):
        os.write(writer, b"x")
        signal.pause()

    victim = forked.start(begin)
    os.read(reader, 1)

    def kill(_seconds):
        os.kill(victim, signal.SIGKILL)
        forked.wait(victim)

    monkeypatch.setattr(claims.time, "sleep", kill)
    with Counted(editor.pipe) as counted:
        assert run_cells(editor, pairs, CELLS, SETTINGS, store=tmp_path) == whole

    assert counted.pictures == (4 + 2 + 1) * 2  # all of one cell, half of the other, one without
    assert list(tmp_path.glob(".*")) == []


def test_pairs_without_a_reference_run_once(editor, pairs):
    """For all cells of the same steps, guidance and seed, and not where all of it should change."""
    with Counted(editor.pipe) as counted:
        run_cells(editor, pairs[:2], [Cell("a"), Cell("b", "inject")], SETTINGS)
    assert counted.pictures == (2 + 2 * 2) * 2
    with Counted(editor.pipe) as counted:
        run_cells(editor, pairs[:2], [Cell("a"), Cell("b", seed=5)], SETTINGS)
    assert counted.pictures == (2 * 2 + 2 * 2) * 2
    with Counted(editor.pipe) as counted:
        run_cells(editor, pairs[2:3], [Cell("a")], SETTINGS)
    assert counted.pictures == 2


def test_results_are_those_of_single_edits(editor, pairs):
    """In the order of the pairs, whatever ran together, with their seeds and references."""
    cell = Cell("a", rh.Stage("default", 0.5), others="inject", seed=3)
    alone = [
        editor.edit(
            pair.source, pair.prompt, strategy=cell.strategy, seed=pair.seed + 3, steps=2, cfg=1.0,
            references=[rh.Reference(picture, "inject") for picture in pair.references],
        ).image
        for pair in pairs
    ]  # fmt: skip

    together = edit_pairs(editor, pairs, cell, SETTINGS)

    for one, other in zip(alone, together, strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1


def test_without_a_reference_the_source_does_not_matter(editor, pairs):
    """Two pairs of one prompt, seed and size have the same result then."""
    other = Pair(
        tiny.picture(5, (32, 32)), pairs[0].prompt, seed=pairs[0].seed, mask=pairs[0].region
    )
    cell = Cell("a", denoise=0.5)

    one, two = edit_pairs(editor, [pairs[0], other], cell, SETTINGS, without=True)

    assert np.array_equal(np.asarray(one), np.asarray(two))


def test_attention_is_that_of_each_picture(editor, pairs):
    """Not the mean of the batch that it ran in."""
    found = run_cells(editor, pairs, CELLS, SETTINGS).values("native", "attention", "local")

    expected = [
        editor.edit(
            pair.source, pair.prompt, seed=pair.seed, steps=2, cfg=1.0, record_attention=True
        ).attention_share[:, :, 1].mean()
        for pair in pairs[:2]
    ]  # fmt: skip
    assert found == pytest.approx([float(it) for it in expected], abs=1e-5)
    assert found[0] != found[1]


def test_more_measures_see_the_result(editor, pairs):
    """At its size, with all that is known of it; what they return is kept beside the others."""
    seen = []

    def red(shot):
        seen.append(shot)
        return None if shot.pair.kind == "two" else float(shot.out[..., 0].mean())

    card = run_cells(editor, pairs, [Cell("a")], SETTINGS, measures={"red": red})

    assert card.measures[-1] == "red"
    assert np.isnan(card.values("a", "red", "two")).all()
    (picture, *_) = edit_pairs(editor, pairs, Cell("a"), SETTINGS)
    assert card.values("a", "red")[0] == pytest.approx(np.asarray(picture)[..., 0].mean(), abs=0.5)
    assert {shot.out.shape for shot in seen} == {(32, 32, 3)}
    assert all(shot.without is not None for shot in seen)


def test_another_measure_of_the_same_name_is_not_taken_for_it(editor, pairs, tmp_path):
    """Its text counts; pictures without a reference are not run again for it."""

    def first(_shot):
        return 0.0

    def second(_shot):
        return 1.0

    for given, pictures in ((first, 2 * 2 * 2), (second, 2 * 2), (second, 0)):
        with Counted(editor.pipe) as counted:
            card = run_cells(
                editor, pairs[:2], [Cell("a")], SETTINGS, store=tmp_path, measures={"mine": given}
            )
        assert card.values("a", "mine").tolist() == [given(None)] * 2
        assert counted.pictures == pictures


def _limit(_shot, limit=0.0):
    return limit


def _closure(value):
    return lambda _shot: float(value) if isinstance(value, float) else value.number


class _Holder:
    """Has no value of its own."""

    def __init__(self, number):
        self.number = number


def _keyed(measure, key):
    measure.key = key
    return measure


@pytest.mark.parametrize(
    ("measure", "again"),
    [
        (lambda number: functools.partial(_limit, limit=number), 4),
        (_closure, 0),
        (lambda number: _closure(_Holder(number)), 4),
        (lambda number: _keyed(_closure(_Holder(number)), f"limit {number}"), 0),
    ],
    ids=["partial", "closure over a number", "closure over an object", "with a key"],
)
def test_what_a_measure_holds_counts(editor, pairs, tmp_path, measure, again):
    """Where it cannot be told, the measure is taken again; its key tells it."""
    counts = []
    for number in (1.0, 2.0, 2.0):
        with Counted(editor.pipe) as counted:
            card = run_cells(
                editor, pairs[:2], [Cell("a")], SETTINGS, store=tmp_path,
                measures={"mine": measure(number)},
            )  # fmt: skip
        assert card.values("a", "mine").tolist() == [number] * 2
        counts.append(counted.pictures)

    assert counts == [8, 4, again]


def test_pictures_of_other_sizes_are_measured_at_the_output_s(editor, pairs):
    """Sources, answers and masks are resized to it; they run apart from the others."""
    source, right = (tiny.picture(number, (96, 96)) for number in (20, 21))
    mask = np.zeros((96, 96), bool)
    mask[:48] = True
    shots = []

    card = run_cells(
        editor, [*pairs, Pair(source, "x", right=right, mask=mask)], [Cell("a")], SETTINGS,
        measures={"seen": shots.append},
    )  # fmt: skip

    assert card.interval("a", "done", "edit").count == 1
    assert shots[-1].region[:16].all()
    assert not shots[-1].region[16:].any()
    assert shots[-1].source.shape == shots[-1].right.shape == (32, 32, 3)


def test_a_cell_of_some_kinds_has_no_values_of_others(editor, pairs):
    """It is not run on them; the others' values stay aligned."""
    card = run_cells(editor, pairs, [Cell("a"), Cell("b", kinds="whole")], SETTINGS)

    assert card.interval("b", "done", "local") is None
    assert card.values("b", "done", "whole") == pytest.approx(card.values("a", "done", "whole"))
    assert len(card.values("b", "done")) == 3


def test_the_card_says_what_was_run(editor, pairs):
    """With the model's own numbers where none were named, and the strategy as a file has it."""
    card = run_cells(editor, pairs[:1], [Cell("a", rh.Stage("inject", 0.5), steps=3)])

    assert (card.settings.steps, card.settings.cfg) == (50, 4.0)
    assert (card.cells[0].steps, card.cells[0].cfg) == (3, 4.0)
    assert card.cells[0].strategy == {"stage": [{"method": "inject", "strength": 0.5}]}


def test_a_context_is_around_all_of_it(editor, pairs):
    """It is given the pipeline, and left at the end."""
    said = []

    @contextlib.contextmanager
    def around(pipe):
        said.append(pipe is editor.pipe)
        yield
        said.append("left")

    run_cells(editor, pairs[:1], [Cell("a")], SETTINGS, context=around)

    assert said == [True, "left"]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([], "cells must be a list of at least one Cell"),
        ([Cell("a"), Cell("a", "inject")], "two cells are called 'a'"),
        ([Cell("a", kinds="other")], "cell 'a': no pair is of a kind"),
        ([Cell("a"), Cell("b", "inejct")], "there is no method 'inejct'"),
        ([Cell("a"), Cell("b", rh.Stage("default", [1.0]))], "lists 1 numbers"),
    ],
)
def test_what_cannot_run_is_found_before_anything_does(editor, pairs, never_called, cells, said):
    """Also in the last cell."""
    with never_called(), pytest.raises((InputError, rh.UnknownNameError)) as caught:
        run_cells(editor, pairs, cells, SETTINGS)
    assert said in str(caught.value)


def test_pairs_of_which_nothing_is_known_are_refused(editor, pairs, never_called):
    """Without an answer, a mask or a measure of the caller's own there is nothing to say."""
    bare = [Pair(pairs[0].source, "x")]
    with never_called():
        with pytest.raises(InputError, match="nothing can be measured"):
            run_cells(editor, bare, [Cell("a")], SETTINGS)
        with pytest.raises(InputError, match="'done' is there already"):
            run_cells(editor, pairs, [Cell("a")], SETTINGS, measures={"done": len})
    card = run_cells(editor, bare, [Cell("a")], SETTINGS, measures={"one": lambda _shot: 1})
    assert card.measures == ("one",)


def test_a_refused_run_leaves_no_store(editor, pairs, tmp_path):
    """The folder was made for it alone."""
    with pytest.raises(rh.RefhooksError):
        run_cells(editor, pairs, [], SETTINGS, store=tmp_path / "new" / "store")

    assert list(tmp_path.iterdir()) == []


def test_the_plugins_of_a_cell_take_part(editor, pairs, tmp_path):
    """In its edits and its key; a card says what they are, and one that cannot is told first."""
    cells = (Cell("plain"), Cell("aligned", plugins=[rh.plugin("align", value=True)]))
    card = run_cells(editor, pairs[:1], cells, SETTINGS, store=tmp_path)

    assert [cell.strategy.get("plugin") for cell in card.cells] == [
        None, [{"plugin": "align"}]
    ]  # fmt: skip
    with pytest.raises(RefhooksError, match="object has no run hook"):
        run_cells(editor, pairs[:1], [Cell("none", plugins=[object()])], SETTINGS)

"""What a person does on the page, without the page."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import attrs
import pytest
from PIL import Image, ImageChops

import refhooks as rh
from refhooks_play._cells import Cells
from refhooks_play._grid import start_grid
from refhooks_play._running import Job, Runner
from refhooks_play._session import Session, alert


def finished(job):
    """Wait for a job, and return it."""
    while job.is_open:
        time.sleep(0.01)
    return job


def test_an_edit_is_the_one_that_refhooks_makes(ready, editor, files):
    """To the bit, with steps counted and a look at the picture on the way."""
    job = finished(ready.start_edit())

    assert job.state == "done", job.error
    assert job.step == 3
    assert job.preview.size == job.result.image.size
    alone = editor.edit(files / "photo.png", "make it blue", steps=3, seed=1)
    assert ImageChops.difference(job.result.image, alone.image).getbbox() is None


def test_what_was_made_opens_on_another_page(ready, runner, tmp_path):
    """Its file carries everything; the other one makes the same picture."""
    ready.set_stages([Cells("inject", "", "0.4:1.0", "0.5"), Cells("default")])
    first = finished(ready.start_edit())
    other = Session(runner, tmp_path)

    said = other.open([ready.saved(first.result)])

    assert said == "opened edited-1.png"
    assert other.state.cards[0].stages == ready.state.cards[0].stages
    second = finished(other.start_edit())
    assert ImageChops.difference(first.result.image, second.result.image).getbbox() is None
    other.close()
    assert not other.folder.exists()


def test_an_exported_strategy_opens_with_its_pictures(ready, runner, tmp_path, files):
    """The prompt and the seed are not of the file."""
    ready.add_reference(files / "coat.png")
    ready.set_stages([Cells("cross_attn", "", "0.6")])
    path, text, command = ready.exported()
    other = Session(runner, tmp_path)

    other.open([path, files / "photo.png", files / "coat.png"])

    assert "cross_attn" in text
    assert command.text.startswith(
        "refhooks edit photo.png 'make it blue' --strategy=strategy.toml"
    )
    assert command.files == ("strategy.toml", "photo.png", "coat.png")
    assert other.state.cards == ready.state.cards
    assert other.state.prompt == ""


@pytest.mark.parametrize("count", [0, 2])
def test_one_thing_is_opened_at_a_time(ready, files, count):
    """Nothing is changed otherwise."""
    before = ready.state
    (files / "a.toml").write_text('[[stage]]\nmethod = "inject"\n')
    (files / "b.toml").write_text('[[stage]]\nmethod = "inject"\n')
    given = [files / "photo.png", *[files / "a.toml", files / "b.toml"][:count]]

    with pytest.raises(rh.InputError, match="open one strategy file"):
        ready.open(given)

    assert ready.state == before


def test_a_file_that_does_not_fit_changes_nothing(ready, files):
    """Said with what it has and what the page shows."""
    before = ready.state
    stages = "".join(f'[[stage]]\nmethod = "inject"\nuntil = 0.{it}\n' for it in range(1, 8))
    (files / "long.toml").write_text(stages)

    with pytest.raises(rh.InputError, match="7 stages, and the page shows 6"):
        ready.open([files / "long.toml"])

    assert ready.state == before


def test_lanes_show_what_is_written_and_what_is_refused(ready, files):
    """Each at its own reference, in the plan's words."""
    assert "Choose a picture" in Session(ready.runner, files).lanes()
    ready.set_stages([Cells("inject", "", "0.4:1.0", "0.5"), Cells("default")])
    assert "inject, steps 1 to 2, strength 0.4 to 1" in ready.lanes()
    ready.add_reference(files / "coat.png")
    ready.set_stages([Cells("default", "", "nonsense")])

    lanes = ready.lanes()

    assert "reference 2, stage 1" in lanes
    assert "is neither a number nor a schedule" in lanes
    assert "inject, steps 1 to 2" in lanes
    ready.change(height=33)
    assert "height must be a multiple of" in ready.lanes()


def test_a_grid_varies_the_stages_within_the_masks_of_the_source(ready):
    """Its cells are what the edit makes of each method and strength, with the region as painted."""
    mask = Image.new("L", (32, 24))
    mask.paste(255, (0, 0, 16, 24))
    mask.save(ready.folder / "mask-region-1.png")
    ready.set_stages([Cells("inject", "", "0.4", "0.5"), Cells("default")])
    region = {"image": "mask-region-1.png"}
    ready.state = ready.state.with_card(0, ready.card.masked("region", region))

    job = finished(start_grid(ready, ["default"], "0.5"))

    assert job.state == "done", job.error
    ready.set_stages([Cells("default", "", "0.5")])
    alone = finished(ready.start_edit()).result
    ((cell,),) = job.result.images
    assert ImageChops.difference(cell, alone.image).getbbox() is None
    for methods, strengths, says in (
        ([], "1", "at least one"), (["default"], " , ", "at least one"),
        (["default"], ",".join(["1"] * 37), "37 pictures are too many"),
    ):  # fmt: skip
        with pytest.raises(rh.InputError, match=says):
            start_grid(ready, methods, strengths)


def test_a_preset_fills_the_stages(ready):
    """And its denoise, as the command line does."""
    chosen = rh.preset("color-change")

    ready.fill("color-change")

    (stage,) = ready.state.cards[0].stages
    assert stage.method == str(getattr(chosen.strategy.stages[0].method, "name", "inject"))
    assert ready.state.denoise == (chosen.denoise or 1.0)


def test_cancelling_ends_an_edit_and_leaves_the_model_clean(ready, editor):
    """Within a step; the next edit is what it would have been."""
    clean = finished(ready.start_edit()).result.image
    ready.change(steps=1000)
    job = ready.start_edit()
    while job.step < 1:
        time.sleep(0.01)

    ready.cancel()
    made = job.step

    assert finished(job).state == "cancelled"
    assert job.step - made <= 1
    ready.change(steps=3)
    again = finished(ready.start_edit()).result.image
    assert ImageChops.difference(clean, again).getbbox() is None


def test_edits_wait_for_each_other_and_each_knows_its_place(editor):
    """One at a time, in order; one that waits is cancelled at once."""
    runner, release, order = Runner(editor), [], []

    def slow(job):
        order.append(job)
        while not release:
            time.sleep(0.01)

    jobs = [runner.submit(Job(slow)) for _ in range(4)]
    while not order:
        time.sleep(0.01)

    assert [runner.place(job) for job in jobs] == [0, 1, 2, 3]
    runner.cancel(jobs[2])
    assert jobs[2].state == "cancelled"
    assert runner.place(jobs[3]) == 2
    release.append(True)
    assert [finished(job).state for job in jobs] == ["done", "done", "cancelled", "done"]
    assert order == [jobs[0], jobs[1], jobs[3]]


def test_a_page_runs_one_edit(ready):
    """A second click says so."""
    ready.change(steps=1000)
    job = ready.start_edit()

    with pytest.raises(rh.InputError, match="runs already"):
        ready.start_edit()

    ready.cancel()
    finished(job)


def test_an_error_of_a_plugin_does_not_end_the_queue(editor, capsys):
    """Its type is told, its traceback goes to the terminal."""
    runner = Runner(editor)

    def broken(_job):
        raise ZeroDivisionError("a secret")

    job = finished(runner.submit(Job(broken)))

    assert job.state == "failed"
    assert job.error == "the edit failed (ZeroDivisionError); the terminal says where"
    assert "a secret" in capsys.readouterr().err
    assert finished(runner.submit(Job(lambda _job: 7))).result == 7


def test_what_is_refused_is_refused_before_it_waits(ready):
    """An empty prompt, and what the state cannot be."""
    ready.change(prompt="  ")
    with pytest.raises(rh.InputError, match="the prompt is empty"):
        ready.start_edit()
    ready.change(prompt="a", height=33)
    with pytest.raises(rh.InputError, match="height must be a multiple"):
        ready.start_edit()
    assert ready.job is None


def test_references_come_and_go(ready, files):
    """The source stays; there is room for four."""
    for _ in range(3):
        ready.add_reference(files / "coat.png")
    assert ready.names() == ["1: photo.png", "2: coat.png", "3: coat.png", "4: coat.png"]
    with pytest.raises(rh.InputError, match="holds 4 pictures"):
        ready.add_reference(files / "coat.png")
    ready.remove_reference()
    ready.place = 0
    with pytest.raises(rh.InputError, match="choose another on Edit"):
        ready.remove_reference()
    assert len(ready.state.cards) == 3


def test_another_source_takes_its_masks_and_size_with_it(ready, files):
    """Stages and other references stay."""
    ready.set_stages([Cells("inject")])
    ready.change(edit_mask={"image": "white.png"}, height=64)

    ready.set_source(files / "coat.png")

    assert ready.state.cards[0].image == "coat.png"
    assert ready.state.cards[0].stages == (Cells("inject"),)
    assert (ready.state.edit_mask, ready.state.height) == (None, None)


def test_a_mask_takes_the_name_of_no_picture_and_of_no_other_mask(ready, files):
    """Whatever pictures are called, and in whatever order references came and went."""
    shutil.copy(files / "coat.png", files / "mask-region-1.png")
    ready.add_reference(files / "mask-region-1.png")
    assert ready.free_name("mask-region-1") == "mask-region-1-2.png"
    card = ready.card.masked("region", {"kind": "region", "image": "mask-region-3.png"})
    ready.state = ready.state.with_card(1, card)
    assert ready.free_name("mask-region-3") == "mask-region-3-2.png"
    assert ready.free_name("mask-region-3", "mask-region-3.png") == "mask-region-3.png"
    ready.change(edit_mask={"image": "mask-region-3.png"})
    assert ready.free_name("mask-region-3", "mask-region-3.png") == "mask-region-3-2.png"


def test_what_the_page_makes_replaces_nothing_that_it_was_given(ready, files):
    """A picture may be called as a result is."""
    shutil.copy(files / "coat.png", files / "edited-1.png")
    ready.set_source(files / "edited-1.png")
    before = (ready.folder / "edited-1.png").read_bytes()

    ready.saved(finished(ready.start_edit()).result)

    assert (ready.folder / "edited-1.png").read_bytes() == before


def test_words_of_a_user_are_no_markup():
    """In what the page says."""
    assert alert("<b>") == "<p role='alert' class='refused'>&lt;b&gt;</p>"


def test_what_a_file_brings_and_no_field_shows_is_told_and_can_be_left_out(ready):
    """Run plugins, and arguments that only a recipe holds; how much is computed needs a mask."""
    ready.change(plugins=({"plugin": "origin", "center": "floor"},), more={"align": True})
    assert ready.hidden() == 'run plugin { plugin = "origin", center = "floor" }; align = true'
    ready.forget()
    assert ready.hidden() == ""
    ready.change(edit_mask={"image": "white.png"}, more={"compute": {"halo": 1, "near": None}})
    assert ready.hidden() == "compute = { halo = 1 }"
    ready.change(edit_mask=None)
    assert ready.hidden() == ""


def test_the_source_is_shown_from_a_file_that_is_made_once(ready, files):
    """Scaled up where it is small; another source has another."""
    with Image.open(ready.look()) as picture:
        assert picture.size == (512, 384)
    first = ready.look()
    made = Path(first).stat().st_mtime_ns
    assert ready.look() == first
    assert Path(first).stat().st_mtime_ns == made
    ready.set_source(files / "coat.png")
    assert ready.look() != first
    assert Session(ready.runner, files).look() is None


def test_fields_that_a_browser_has_not_filled_yet_do_not_undo_an_action(ready, monkeypatch):
    """While it fills them, it says some old ones; later, what it says is meant."""
    ready.settle(["default", "", "1", None], ["inject", "0.5", "1", None])

    assert ready.settled(["inject", "", "1", None]) == ["inject", "0.5", "1", None]
    assert ready.settled(["default", "0.7", "1.5", 3]) == ["inject", "0.7", "1.5", 3]
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert ready.settled(["default", "", "1", None]) == ["default", "", "1", None]


def test_a_preset_is_chosen_by_its_name_alone(ready, files):
    """A path of the machine is none, whatever a browser sends."""
    (files / "own.toml").write_text('[[stage]]\nmethod = "inject"\n')

    with pytest.raises(rh.InputError, match="there is no preset"):
        ready.fill(str(files / "own.toml"))


def test_a_state_without_a_card_stays(page):
    """Fields that belong to a card change nothing where there is none."""
    before = attrs.evolve(page.state)
    page.set_stages([Cells("inject")])
    page.change_rest(vision="never")
    assert page.state == before

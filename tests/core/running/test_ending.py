"""A run ends early by the pipeline's flag, by what a callback raises, and by Ctrl-C."""

from __future__ import annotations

import signal
import threading

import pytest
import tiny
import torch

import refhooks as rh
from refhooks_qwen21 import _tiny as tiny21

SIDE = 32
PICTURE = tiny.picture(0, (SIDE, SIDE))
CALL = {"steps": 4, "cfg": 2.0, "height": SIDE, "width": SIDE}


@pytest.fixture(params=["edit", "plus", "21"])
def pair(request, small_stock):
    """A pipeline of each family, and its editor."""
    pipe = tiny21.tiny_pipeline() if request.param == "21" else tiny.build(request.param, "middle")
    area = {"21": SIDE**2, "edit": tiny.AREA, "plus": None}[request.param]  # as stock has it
    return pipe, rh.Editor(pipe, checkpoint=rh.Checkpoint(reference=area))


def stock_interrupted(pipe, after):
    """Latents of the stock pipeline, interrupted from its callback."""
    many = type(pipe).__name__ != "QwenImageEditPipeline"
    own = {"output_resolution": SIDE} if "21" in type(pipe).__name__ else {}

    def at_end(pipe, step, _t, tensors):
        pipe._interrupt = step + 1 >= after
        return tensors

    return pipe(
        image=[PICTURE] if many else PICTURE, prompt="make it blue", negative_prompt=" ",
        true_cfg_scale=2.0, num_inference_steps=4, height=SIDE, width=SIDE, output_type="latent",
        generator=torch.Generator("cpu").manual_seed(1), callback_on_step_end=at_end, **own,
    ).images  # fmt: skip


def interrupting(pipe, after, seen=None):
    """A callback that sets the pipeline's flag, and notes its steps."""

    def callback(step, _latents, _x0):
        if seen is not None:
            seen.append(step)
        pipe._interrupt = step + 1 >= after

    return callback


@pytest.mark.parametrize("after", [1, 2])
def test_the_flag_ends_a_run_as_in_stock(pair, after):
    """The latents of that step are decoded; the result and its recipe say so."""
    pipe, editor = pair
    expected, seen = stock_interrupted(pipe, after), []

    with pytest.warns(rh.RefhooksWarning, match=f"interrupted after step {after} of 4"):
        result = editor.edit(
            PICTURE, "make it blue", seed=1, callback=interrupting(pipe, after, seen), **CALL
        )

    assert list(range(after)) == seen
    assert torch.equal(expected, result.latents)
    assert result.interrupted
    assert result.recipe.lost == (f"it was interrupted after step {after} of 4",)
    with pytest.raises(rh.InputError, match="cannot be replayed: it was interrupted"):
        editor.replay(result.recipe)
    whole = editor.edit(PICTURE, "make it blue", seed=1, **CALL)  # the flag was of that run
    assert not whole.interrupted


def test_the_flag_of_another_thread(pair):
    """As a page's stop button sets it."""
    pipe, editor = pair

    def callback(*_):
        stop = threading.Thread(target=lambda: setattr(pipe, "_interrupt", True))
        stop.start()
        stop.join()

    with pytest.warns(rh.RefhooksWarning, match="interrupted after step 1 of 4"):
        editor.edit(PICTURE, "make it blue", seed=1, callback=callback, **CALL)


def test_the_flag_ends_a_chain(editor):
    """Its results go up to the edit that was interrupted."""
    edits = [rh.Edit("make it blue"), rh.Edit("make it red"), rh.Edit("make it green")]
    results = []

    def callback(step, *_):
        editor.pipe._interrupt = len(results) == 1 and step == 1

    with pytest.warns(rh.RefhooksWarning, match="interrupted after step 2 of 3"):
        chain = editor.chain(
            PICTURE, edits, steps=3, seed=1, callback=callback,
            on_result=lambda _, result: results.append(result),
        )  # fmt: skip

    assert [result.interrupted for result in chain.results] == [False, True]


def test_an_interrupted_cell_is_not_kept(editor, tmp_path):
    """Else it would pass for the finished one the next time."""
    from refhooks._apps.grids.grid import Grid, fill, make_cells, passes

    arguments = {"image": PICTURE, "prompt": "make it blue", "steps": 3, "strategy": None}
    grid = Grid(rows=None, columns=None, seeds=(1, 2))
    cells = [line[0] for line in make_cells(grid, arguments, "default", editor.registry)]

    with (
        pytest.warns(rh.RefhooksWarning, match="interrupted after step 1 of 3"),
        pytest.raises(rh.RefhooksError, match="the grid was interrupted"),
    ):
        fill(editor.edit, passes(cells, 1), "tiny", tmp_path, interrupting(editor.pipe, 1))

    assert list(tmp_path.iterdir()) == []


class MineError(Exception):
    """Of the callback's own."""


def raises(*_):
    """End the run."""
    raise MineError


def ctrl_c(*_):
    """What the terminal sends; a job in the background would not mind it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("callback", "error"), [(raises, MineError), (ctrl_c, KeyboardInterrupt)])
def test_what_a_callback_raises_and_ctrl_c_end_a_run(pair, callback, error):
    """At once, and the model is as it was: the next call is the stock one."""
    pipe, editor = pair
    processors = [block.attn.processor for block in pipe.transformer.transformer_blocks]
    seen = []

    def counted(*given):
        seen.append(1)
        callback(*given)

    with pytest.raises(error):
        editor.edit(
            PICTURE, "make it blue", seed=1, callback=counted, strategy=rh.Stage("cross_attn", 0.6),
            **CALL,
        )  # fmt: skip

    assert seen == [1]
    now = [block.attn.processor for block in pipe.transformer.transformer_blocks]
    assert all(one is other for one, other in zip(now, processors, strict=True))
    hooks = [module for module in pipe.transformer.modules() if module._forward_hooks]
    assert hooks == []
    assert not editor.edit(PICTURE, "make it blue", seed=1, **CALL).interrupted

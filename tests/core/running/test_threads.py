"""What else calls the model while an edit runs gets what the stock model gives, to the bit."""

from __future__ import annotations

import threading

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks_qwen21 import _tiny as tiny21

SIDE = 32
WIDTH = 32  # of the transformers
HALF = "0,0,100%,50%"


class Adapts:
    """Changes a linear layer of the transformer, as a projection with a LoRA does."""

    def __init__(self):
        self._adapters = {}

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        width = inputs.target.shape[-1]
        low = rh.LowRank("img_in", torch.ones(1, width), torch.full((WIDTH, 1), 0.1))
        adapter = self._adapters.setdefault(width, rh.Adapter("own", (low,)))
        return attrs.evolve(inputs, adapters=(*inputs.adapters, adapter))


WAYS = {
    "none": {},
    "default": {"strategy": rh.Stage("default", 0.6)},
    "default above 1": {"strategy": rh.Stage("default", 1.4)},
    "inject": {"strategy": rh.Stage("inject", 0.6)},
    "concat": {"strategy": rh.Stage(rh.method("concat", tied=True), 0.6)},
    "cross_attn": {"strategy": rh.Stage("cross_attn", 0.6)},
    "keys": {"strategy": rh.Stage(rh.method("cross_attn", gain="keys"), 0.6)},
    "reuse": {"strategy": rh.Stage(rh.method("cross_attn", reuse="once"), 0.6)},
    "guidance": {"strategy": rh.Stage("guidance", 1.4)},
    "region": {"strategy": rh.Strategy("default", masks=[rh.mask(HALF, kind="region")])},
    "content": {"strategy": rh.Strategy("default", masks=[rh.mask(HALF, kind="content")])},
    "shares": {"record_attention": True},
    "adapter": {"plugins": [Adapts()]},
}


def edit_pipe(kind):
    """A small pipeline of a family, its editor, and a call of the stock pipeline."""
    built = tiny21.tiny_pipeline() if kind == "21" else tiny.build(kind, "middle")
    area = SIDE**2
    checkpoint = rh.Checkpoint(output=area, reference=area, vision=area)
    return built, rh.Editor(built, checkpoint=checkpoint)


def stock(pipe):
    """Latents of a call of the stock pipeline, with one picture."""
    image = tiny.picture(5, (SIDE, SIDE))
    many = type(pipe).__name__ != "QwenImageEditPipeline"
    own = {"output_resolution": SIDE} if "21" in type(pipe).__name__ else {}
    return pipe(
        image=[image] if many else image, prompt="make it red", negative_prompt="no",
        true_cfg_scale=2.0, num_inference_steps=2, height=SIDE, width=SIDE, output_type="latent",
        generator=torch.Generator("cpu").manual_seed(3), **own,
    ).images  # fmt: skip


class Meanwhile:
    """A callback that has the stock pipeline called after the second step, and waits for it."""

    def __init__(self, pipe, *, threaded):
        self._pipe = pipe
        self._threaded = threaded
        self.found = []

    def __call__(self, step, _latents, _x0):
        if step != 1:
            return
        if not self._threaded:
            self._call()
            return
        other = threading.Thread(target=self._call)
        other.start()
        other.join()

    @torch.no_grad()
    def _call(self):
        try:
            self.found.append(stock(self._pipe))
        except rh.RefhooksError as error:
            self.found.append(error)


@pytest.fixture(scope="module")
def families():
    """Those that were built, by their names."""
    return {}


@pytest.fixture(params=["edit", "plus", "21"])
def family(request, families, small_stock):
    """Each family, with what its stock pipeline makes."""
    if request.param not in families:
        pipe, editor = edit_pipe(request.param)
        families[request.param] = (pipe, editor, stock(pipe))
    return families[request.param]


@pytest.mark.parametrize("threaded", [True, False], ids=["a thread", "the callback itself"])
@pytest.mark.parametrize("way", WAYS)
def test_the_stock_pipeline_called_meanwhile_is_stock(family, way, threaded):
    """Whatever the edit has put on the model; and the edit is what it is alone."""
    pipe, editor, expected = family
    call = {"steps": 4, "seed": 1, "cfg": 2.0, "height": SIDE, "width": SIDE, **WAYS[way]}
    picture = tiny.picture(0, (SIDE, SIDE))
    alone = editor.edit(picture, "make it blue", **call)

    meanwhile = Meanwhile(pipe, threaded=threaded)
    result = editor.edit(picture, "make it blue", callback=meanwhile, **call)

    assert torch.equal(expected, meanwhile.found[0])
    assert torch.equal(alone.latents, result.latents)


def test_two_threads_of_stock_calls_beside_edits(families, small_stock):
    """Nobody waits for anybody: each transformer call of another thread is the stock one."""
    pipe, editor = edit_pipe("plus")
    inputs = {}

    def note(_module, _args, kwargs):
        inputs.setdefault("first", dict(kwargs))

    handle = pipe.transformer.register_forward_pre_hook(note, with_kwargs=True)
    editor.edit(tiny.picture(0, (SIDE, SIDE)), "make it red", steps=2, seed=1, cfg=1.0)
    handle.remove()
    call = inputs["first"]
    over, found = threading.Event(), []

    @torch.no_grad()
    def calls():
        while not over.is_set():
            found.append(pipe.transformer(**call)[0])

    with torch.no_grad():
        expected = pipe.transformer(**call)[0]
    threads = [threading.Thread(target=calls) for _ in range(2)]
    for thread in threads:
        thread.start()
    for way in ("cross_attn", "concat", "region", "content"):
        options = {"steps": 3, "seed": 1, "cfg": 1.0, **WAYS[way]}
        editor.edit(tiny.picture(0, (SIDE, SIDE)), "make it blue", **options)
    over.set()
    for thread in threads:
        thread.join()

    assert len(found) > 4
    assert all(torch.equal(expected, one) for one in found)


def test_a_step_cache_is_one_threads(families, small_stock):
    """Its state is one for all, so another thread is refused, and the edit stays what it is."""
    from diffusers import FirstBlockCacheConfig

    pipe, editor = edit_pipe("plus")
    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    call = {"steps": 4, "seed": 1, "cfg": 2.0}
    alone = editor.edit(tiny.picture(0, (SIDE, SIDE)), "make it blue", **call)

    meanwhile = Meanwhile(pipe, threaded=True)
    result = editor.edit(tiny.picture(0, (SIDE, SIDE)), "make it blue", callback=meanwhile, **call)

    assert isinstance(meanwhile.found[0], rh.BusyError)
    assert "its step cache (FBCHeadBlockHook) keeps one state for all" in str(meanwhile.found[0])
    assert torch.equal(alone.latents, result.latents)
    stock(pipe)  # afterwards it is anybody's


@pytest.mark.parametrize("kind", ["plus", "21"])
def test_the_vae_keeps_nothing_of_another_thread(kind, small_stock):
    """It keeps the frame before on itself while it runs; a call amid one of ours has its own."""
    pipe, editor = edit_pipe(kind)
    picture = tiny.picture(0, (SIDE, SIDE))
    call = {"steps": 2, "seed": 1, "cfg": 1.0, "height": SIDE, "width": SIDE}
    alone = editor.edit(picture, "make it blue", **call)
    shape = (1, pipe.vae.config.z_dim, 1, 4, 4)
    z = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = pipe.vae.decode(z, return_dict=False)[0]
    found, inside = [], threading.Event()

    @torch.no_grad()
    def other():
        found.append(pipe.vae.decode(z, return_dict=False)[0])

    def amid(*_):
        if inside.is_set():
            return
        inside.set()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    convolutions = [it for it in pipe.vae.decoder.modules() if "Conv" in type(it).__name__]
    handle = convolutions[len(convolutions) // 2].register_forward_pre_hook(amid)
    result = editor.edit(picture, "make it blue", **call)
    handle.remove()

    assert torch.equal(expected, found[0])
    assert alone.image.tobytes() == result.image.tobytes()

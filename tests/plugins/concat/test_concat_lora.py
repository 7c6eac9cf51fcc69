"""A projection's LoRA equals merged weights where concat acts, and is nowhere else."""

from __future__ import annotations

import contextlib

import attrs
import pytest
import tiny
import torch
from joining import CHANNELS, SIZES, TO_Q, WIDTH, lora, random

import refhooks as rh
from refhooks_concat import _projection

LAYERS = {
    TO_Q: (WIDTH, WIDTH),
    "transformer_blocks.1.attn.to_out.0": (WIDTH, WIDTH),
    "transformer_blocks.0.img_mlp.net.2": (4 * WIDTH, WIDTH),
    "img_in": (CHANNELS, WIDTH),
    "proj_out": (WIDTH, CHANNELS),
}
ALPHA = 2.0  # of the layer TO_Q; the others have none, and a scale of 1
RANK = 4


def tensors():
    """Return the tensors of a LoRA on all of these layers."""
    made = {f"transformer.{TO_Q}.alpha": torch.tensor(ALPHA)}
    for layer, sizes in LAYERS.items():
        made |= lora(RANK, layer, sizes)
    return made


@contextlib.contextmanager
def merged(pipe):
    """Put the LoRA into the weights for a while."""
    held, kept = tensors(), {}
    for name in LAYERS:
        layer = pipe.transformer.get_submodule(name)
        down, up = (held[f"transformer.{name}.lora_{part}.weight"] for part in "AB")
        kept[name] = layer.weight.data.clone()
        layer.weight.data += (ALPHA / RANK if name == TO_Q else 1.0) * up @ down
    try:
        yield
    finally:
        for name, weight in kept.items():
            pipe.transformer.get_submodule(name).weight.data = weight


def on_transformer(pipe):
    """Return every object that a run could replace or leave behind on the transformer."""
    found = []
    for module in pipe.transformer.modules():
        found += [module, getattr(module, "processor", None), vars(module).get("forward")]
        found += [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        found += module._parameters.values()
    return found


@pytest.fixture
def untouched(pipe, edit):
    """The model has the same objects on it afterwards, and gives the same picture."""
    before, picture = on_transformer(pipe), edit().latents
    yield
    after = on_transformer(pipe)
    assert len(before) == len(after)
    assert all(old is new for old, new in zip(before, after, strict=True))
    assert torch.equal(picture, edit().latents)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_it_equals_merged_weights(edit, pipe, write, strength, cfg):
    """In full at every strength, in both branches, on any linear layer, with and without alpha."""
    ours = edit(
        strategy=rh.Stage(rh.method("concat", projection=write(tensors=tensors())), strength),
        cfg=cfg,
    ).latents
    plain = rh.Stage(rh.method("concat", projection=write("plain.safetensors")), strength)

    with merged(pipe):
        theirs = edit(strategy=plain, cfg=cfg).latents

    assert (ours - theirs).abs().max() <= 1e-5
    assert (ours - edit(strategy=plain, cfg=cfg).latents).abs().max() > 1e-2


@pytest.mark.usefixtures("untouched")
def test_references_with_one_file_share_it(edit, pipe, write, monkeypatch):
    """It is read and added once, whatever their number; another file's is added besides."""
    path, other = write(tensors=tensors()), write("other.safetensors", tensors=lora())
    seen = []

    class Last:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, inputs):
            seen.append([len(entry.layers) for entry in inputs.adapters])

    def run(*paths):
        first, *others = [rh.Stage(rh.method("concat", projection=entry), 0.6) for entry in paths]
        pictures = [tiny.picture(number) for number in range(1, len(paths))]
        references = [rh.Reference(*pair) for pair in zip(pictures, others, strict=True)]
        return edit(strategy=first, references=references, plugins=[Last()], cfg=1.0).latents

    with monkeypatch.context() as patch:
        loaded, load = [], _projection._load
        patch.setattr(_projection, "_load", lambda *args: loaded.append(1) or load(*args))
        ours = run(path, path)
    assert loaded == [1]
    with merged(pipe):
        theirs = run(write("a.safetensors"), write("b.safetensors"))

    assert (ours - theirs).abs().max() <= 1e-5
    assert seen == [[len(LAYERS)]] * 3 + [[]] * 3
    run(path, other)
    assert seen[-1] == [len(LAYERS), 1]


@pytest.mark.usefixtures("untouched")
def test_it_acts_only_where_concat_does(edit, pipe, write):
    """The predictions of the other steps are those of the model as it is."""
    method = rh.method("concat", projection=write(tensors=tensors()))
    plain = rh.method("concat", projection=write("plain.safetensors"))
    first = {}

    def velocities(method):
        """The velocities of a run whose latents are the same at every step."""
        made = []

        class Same:
            @rh.hookimpl(tryfirst=True)
            def refhooks_step(self, latents):
                return first.setdefault("latents", latents)

            @rh.hookimpl(trylast=True)
            def refhooks_velocity(self, velocity):
                made.append(velocity)

        stages = [
            rh.Stage("inject", until=0.25),
            rh.Stage(method, [1, 0], until=0.75),
            rh.Stage("default"),
        ]
        edit(strategy=rh.Strategy(stages), plugins=[Same()], steps=4)
        return made

    ours, theirs = velocities(method), velocities(plain)

    same = [torch.equal(*pair) for pair in zip(ours, theirs, strict=True)]
    assert same == [True, False, True, True]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_stays_after_an_exception(edit, write, error):
    """Neither hooks nor weights."""

    def fail(step, _latents, _x0):
        if step == 1:
            raise error("on purpose")

    with pytest.raises(error, match="on purpose"):
        edit(strategy=rh.method("concat", projection=write(tensors=tensors())), callback=fail)


def test_it_goes_with_a_lora_that_the_user_loaded(write):
    """Both are added, and the user's stays as it was."""
    import peft

    pipe = tiny.build("plus", "middle")
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(**SIZES))
    arguments = {"steps": 2, "seed": 1, "cfg": 1.0}
    plain = rh.method("concat", projection=write("plain.safetensors"))
    method = rh.method("concat", projection=write(tensors=tensors()))
    pipe.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "img_in"]))
    for name, parameter in pipe.transformer.named_parameters():
        if "lora_B" in name:
            parameter.data = random(*parameter.shape, seed=5)
    with_users = editor.edit(tiny.picture(), "make it blue", strategy=plain, **arguments).latents

    ours = editor.edit(tiny.picture(), "make it blue", strategy=method, **arguments).latents

    for name in LAYERS:  # what the user's LoRA wraps is one module deeper
        layer = pipe.transformer.get_submodule(name)
        layer = getattr(layer, "base_layer", layer)
        down, up = (tensors()[f"transformer.{name}.lora_{part}.weight"] for part in "AB")
        layer.weight.data += (ALPHA / RANK if name == TO_Q else 1.0) * up @ down
    theirs = editor.edit(tiny.picture(), "make it blue", strategy=plain, **arguments).latents
    assert (ours - theirs).abs().max() <= 1e-5
    assert (ours - with_users).abs().max() > 1e-2


def test_a_compiled_block_is_refused_in_time(write):
    """A hook that comes later would silently do nothing; P alone is unharmed by it."""
    pipe = tiny.build("plus", "middle")
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(**SIZES))
    plain = rh.method("concat", projection=write("plain.safetensors"))
    arguments = {"steps": 2, "seed": 1, "cfg": 1.0}
    expected = editor.edit(tiny.picture(), "make it blue", strategy=plain, **arguments).latents
    for block in pipe.transformer.transformer_blocks:
        block.compile(backend="eager")

    with pytest.raises(rh.InputError, match="is compiled, so nothing can be added to it any more"):
        rh.plan(rh.method("concat", projection=write(tensors=lora())), 3, editor=editor)
    found = editor.edit(tiny.picture(), "make it blue", strategy=plain, **arguments).latents

    assert torch.equal(expected, found)
    torch.compiler.reset()


@pytest.mark.parametrize("how", ["method", "wrapper"])
def test_a_model_compiled_as_a_whole_is_refused(write, how):
    """Also for P: its hook would not be seen."""
    pipe = tiny.build("plus", "middle")
    if how == "method":
        pipe.transformer.compile(backend="eager")
    else:
        pipe.transformer = torch.compile(pipe.transformer, backend="eager")
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(**SIZES))

    with pytest.raises(rh.InputError, match=r"'img_in' is compiled.*compile_repeated_blocks"):
        rh.plan(rh.method("concat", projection=write()), 3, editor=editor)


def adding(**fields):
    """Return a plugin that adds an adapter on one layer."""

    class Adding:
        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            made = {"layer": TO_Q, "down": random(2, WIDTH), "up": random(WIDTH, 2), **fields}
            adapter = rh.Adapter("mine", (rh.LowRank(**made),))
            return attrs.evolve(inputs, adapters=(adapter,))

    return Adding()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"layer": "nowhere"}, "no layer 'nowhere'"),
        ({"layer": "transformer_blocks"}, "is no linear layer but a ModuleList"),
        ({"down": random(2, 8)}, r"needs down \[rank,32\] and up \[32,rank\], got \[2, 8\]"),
        ({"up": random(WIDTH, 3)}, r"got \[2, 32\] and \[32, 3\]"),
        ({"down": random(WIDTH)}, "needs down"),
        ({"down": None}, "down must be a tensor, got NoneType"),
        ({"up": random(WIDTH, 2).double()}, "up must keep the dtype torch.float32"),
        ({"up": torch.zeros(WIDTH, 2, device="meta")}, "up must stay on cpu"),
    ],
)
def test_an_adapter_that_does_not_fit_names_its_plugin(edit, fields, words):
    """Plugin, hook, step and adapter."""
    with pytest.raises(rh.HookReturnError, match=words) as caught:
        edit(plugins=[adding(**fields)])

    assert "refhooks_conditioning, step 1 of 3: adapter 'mine'" in str(caught.value)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("adapters", "words"),
    [
        ([], "a tuple of refhooks.Adapter"),
        (("mine",), "a tuple of refhooks.Adapter"),
        ((rh.Adapter("mine", ("layer",)),), "layers must hold refhooks.LowRank, got str"),
        ((rh.Adapter("mine", ()), rh.Adapter("mine", ())), "'mine' is there twice"),
    ],
)
def test_what_is_no_adapter_is_refused(edit, adapters, words):
    """Other types, and a name twice."""

    class Wrong:
        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            return attrs.evolve(inputs, adapters=adapters)

    with pytest.raises(rh.HookReturnError, match=words):
        edit(plugins=[Wrong()])


def test_nan_in_an_adapter_is_found_eagerly(edit):
    """And its plugin named."""
    with pytest.raises(rh.NotFiniteError, match=f"adapter 'mine': {TO_Q}, up holds NaN"):
        edit(plugins=[adding(up=torch.full((WIDTH, 2), torch.nan))], check="eager")

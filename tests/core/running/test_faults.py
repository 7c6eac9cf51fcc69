"""Whatever a plugin does wrong is named, and the model is as it was."""

from __future__ import annotations

import threading

import attrs
import pytest
import tiny
import torch
from plugs import Made, method, on_model, plugin, same

import refhooks as rh
from refhooks._core.plugins.validation import hook_arguments
from refhooks.hookspecs import RunHooks

HOOKS = tuple(hook_arguments(RunHooks))


@pytest.fixture(autouse=True)
def unharmed(pipe, edit, clean):
    """After every test here the model has the same objects on it, and gives the same picture."""
    before = on_model(pipe)
    yield
    assert same(before, on_model(pipe))
    assert torch.equal(clean, edit().latents)


@pytest.mark.parametrize("given", ["plugin", "method"])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("hook", HOOKS)
def test_an_error_keeps_its_type_and_names_its_place(edit, hook, error, at, given):
    """At the first, middle and last step of every hook, in a plugin and in a method."""
    at = {"refhooks_image": 2, "refhooks_strengths": min(at, 1)}.get(hook, at)  # as they fire

    def fail(ctx):
        if ctx.step.index == at:
            raise error("on purpose")

    failing = (
        {"plugins": [plugin(**{hook: fail})]}
        if given == "plugin"
        else {"strategy": method(**{hook: fail})}
    )
    name = "plugin Inline of the call" if given == "plugin" else "made (reference 1, stage 1)"

    with pytest.raises(error, match="on purpose") as caught:
        edit(**failing)

    assert error is caught.type
    assert [f"raised by {name}, {hook}, step {at + 1} of 3"] == caught.value.__notes__


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_in_bind_names_its_reference_and_stage(edit, error):
    """The second stage of the second reference."""

    def fail(reference, _run):
        assert (reference.index, reference.stage) == (1, 1)
        raise error("on purpose")

    strategy = rh.Strategy([rh.Stage("default", until=0.5), rh.Stage(Made(fail))])

    with pytest.raises(error, match="on purpose") as caught:
        edit(references=[rh.Reference(tiny.picture(1), strategy)])

    assert (caught.value.__notes__) == [
        "raised by made (reference 2, stage 2), bind, before the first step"
    ]


def test_an_error_names_the_second_reference_and_its_second_stage(edit):
    """The note counts references and stages as the user gave them."""

    def fail(ctx):
        raise ValueError(ctx.step.index)

    strategy = rh.Strategy([rh.Stage("default", until=0.5), rh.Stage(method(refhooks_step=fail))])

    with pytest.raises(ValueError, match="2") as caught:
        edit(references=[rh.Reference(tiny.picture(1), strategy)])

    assert (caught.value.__notes__) == [
        "raised by made (reference 2, stage 2), refhooks_step, step 3 of 3"
    ]


@pytest.mark.parametrize("place", ["callback", "transformer", "decoder"])
def test_a_fault_outside_plugins_leaves_the_model_clean(edit, pipe, monkeypatch, place):
    """Also when hooks are installed on the transformer at that time."""
    hooks = []

    def fail(*_, **__):
        hooks.append(forward_hooks(pipe.transformer))
        raise RuntimeError("on purpose")

    def some_tokens(inputs):
        kept = rh.Tokens(inputs.target[:1], keep=torch.tensor([1, 2]))
        return attrs.evolve(inputs.fill(0, kept), added=torch.zeros(1, inputs.target.shape[1], 32))

    target, name = {
        "callback": (None, None),
        "transformer": (pipe.transformer.norm_out, "forward"),
        "decoder": (pipe.vae, "decode"),
    }[place]
    with monkeypatch.context() as patch:
        if target is not None:
            patch.setitem(vars(target), name, fail)  # which leaves nothing behind
        with pytest.raises(RuntimeError, match="on purpose"):
            edit(
                callback=fail if target is None else None,
                plugins=[plugin(refhooks_conditioning=some_tokens)],
            )

    assert hooks[0] > 0 == forward_hooks(pipe.transformer)


def forward_hooks(model):
    """Return how many forward hooks there are on a model."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


def made_wrong(hook, spoil):
    """Return an implementation of a hook that spoils the value the hook may change.

    Hooks are called by the names of their arguments, so each needs a function of its own.
    """
    return {
        "refhooks_step": lambda latents: spoil(latents),  # noqa: PLW0108
        "refhooks_branches": lambda branches: spoil(branches),  # noqa: PLW0108
        "refhooks_conditioning": lambda inputs: spoil(inputs),  # noqa: PLW0108
        "refhooks_attention": lambda layout: [spoil(layout)],
        "refhooks_velocity": lambda velocity: spoil(velocity),  # noqa: PLW0108
        "refhooks_strengths": lambda strengths: spoil(strengths),  # noqa: PLW0108
        "refhooks_image": lambda images: spoil(images),  # noqa: PLW0108
    }[hook]


def with_slot(tokens):
    """Return a function that fills slot 0 with tokens made from the target."""
    return lambda inputs: inputs.fill(0, tokens(inputs.target))


def with_text(**changes):
    """Return a function that changes the prompt's fields."""
    return lambda inputs: attrs.evolve(
        inputs,
        text=attrs.evolve(
            inputs.text, **{name: change(inputs.text.embeds) for name, change in changes.items()}
        ),
    )


def with_field(name, change):
    """Return a function that changes a field, made from the target."""
    return lambda inputs: attrs.evolve(inputs, **{name: change(inputs.target)})


def attending(weight=None, **fields):
    """Return a function that edits how slot 0 is attended."""
    return lambda _layout: rh.AttentionEdit(0, weight, **fields)


def buffers(*shape):
    """Return buffers for keys and values of a shape."""
    return rh.KeyValues(torch.zeros(shape), torch.zeros(shape))


TENSORS = [
    ("shape", lambda tensor: tensor[:, 1:], "must keep the shape"),
    ("dtype", lambda tensor: tensor.double(), "must keep the dtype torch.float32"),
    ("device", lambda tensor: tensor.to("meta"), "must stay on cpu"),
    ("type", lambda tensor: tensor.tolist(), "must be a tensor, got list"),
]
WRONG = [
    *[("refhooks_step", *case) for case in TENSORS],
    *[("refhooks_velocity", *case) for case in TENSORS],
    *[("refhooks_image", *case) for case in TENSORS],
    ("refhooks_branches", "type", lambda _: 3, "must return a sequence of refhooks.Branch"),
    ("refhooks_branches", "names", lambda _: ["cond"], "must return a sequence"),
    ("refhooks_branches", "missing", lambda branches: branches[1:], "branch cond must stay"),
    ("refhooks_branches", "twice", lambda branches: [*branches] * 2, "must be unique"),
    ("refhooks_branches", "text",
     lambda branches: [*branches, rh.Branch("new", "third")], "third"),
    ("refhooks_conditioning", "type", lambda _: "inputs", "must return refhooks.Inputs or None"),
    *[("refhooks_conditioning", f"target {kind}", with_field("target", spoil), words)
      for kind, spoil, words in TENSORS],
    ("refhooks_conditioning", "slots", with_field("slots", lambda _: ()), "slots must stay 1"),
    ("refhooks_conditioning", "no slots", with_field("slots", lambda _: None), "slots"),
    ("refhooks_conditioning", "slot", with_slot(lambda target: target), "refhooks.Tokens"),
    ("refhooks_conditioning", "slot channels",
     with_slot(lambda target: rh.Tokens(target[..., 1:])), "slot 0.latents must be"),
    ("refhooks_conditioning", "slot length",
     with_slot(lambda target: rh.Tokens(target[:, 1:])), "slot 0.latents must"),
    ("refhooks_conditioning", "slot dtype",
     with_slot(lambda target: rh.Tokens(target.half())), "slot 0.latents must keep the dtype"),
    ("refhooks_conditioning", "slot keep",
     with_slot(lambda target: rh.Tokens(target, keep=torch.ones(2))), "slot 0.keep must be int64"),
    ("refhooks_conditioning", "text", with_field("text", lambda _: "prompt"), "refhooks.Text"),
    ("refhooks_conditioning", "text width",
     with_text(embeds=lambda embeds: embeds[..., 1:]), "text.embeds must be"),
    ("refhooks_conditioning", "text dtype",
     with_text(embeds=lambda embeds: embeds.half()), "text.embeds must keep the dtype"),
    ("refhooks_conditioning", "mask shape",
     with_text(mask=lambda embeds: torch.ones(1, embeds.shape[1] + 1)), "text.mask must be"),
    ("refhooks_conditioning", "mask type",
     with_text(mask=lambda _: [1]), "text.mask must be a tensor"),
    ("refhooks_conditioning", "added length",
     with_field("added", lambda target: torch.ones(1, target.shape[1] + 1, 32)), "added must be"),
    ("refhooks_conditioning", "added width",
     with_field("added", lambda target: torch.ones(1, target.shape[1], 1)), "added"),
    ("refhooks_conditioning", "added dtype",
     with_field("added", lambda target: torch.ones(1, target.shape[1], 32).half()), "the dtype"),
    ("refhooks_attention", "type", lambda _: 0.5, "a list of refhooks.AttentionEdit"),
    ("refhooks_attention", "group", lambda _: rh.AttentionEdit(1), "a slot from 0 to 0, got 1"),
    ("refhooks_attention", "weight type", attending(0.5), "weight must be a tensor, got float"),
    ("refhooks_attention", "weight dtype", attending(torch.tensor(1)), "must be floating point"),
    ("refhooks_attention", "weight shape", attending(torch.ones(3)), "weight must be 0-d, [2]"),
    ("refhooks_attention", "weight device",
     attending(torch.ones((), device="meta")), "weight must be on cpu"),
    ("refhooks_attention", "scale shape", attending(key_scale=torch.ones(3)), "key_scale must be"),
    ("refhooks_attention", "scale device",
     attending(key_scale=torch.ones((), device="meta")), "key_scale must be on cpu"),
    ("refhooks_attention", "store type", attending(store=torch.zeros(1)), "refhooks.KeyValues"),
    ("refhooks_attention", "store shape", attending(store=buffers(2, 1, 15, 2, 16)), "store"),
    ("refhooks_attention", "load blocks", attending(load=buffers(1, 1, 16, 2, 16)), "load"),
    ("refhooks_strengths", "range", lambda _: [2.5], "at most 2, got 2.5"),
]  # fmt: skip


def test_every_hook_has_a_wrong_return():
    """The table below leaves no hook out."""
    assert set(HOOKS) == {case[0] for case in WRONG}


@pytest.mark.parametrize(
    ("hook", "spoil", "words"),
    [(hook, spoil, words) for hook, _, spoil, words in WRONG],
    ids=[f"{hook}-{kind}" for hook, kind, *_ in WRONG],
)
def test_a_wrong_return_names_plugin_hook_and_step(edit, hook, spoil, words):
    """Every shape, dtype, device and type that a hook's contract rules out."""
    with pytest.raises(rh.HookReturnError) as caught:
        edit(plugins=[plugin(**{hook: made_wrong(hook, spoil)})])

    step = 3 if hook == "refhooks_image" else 1
    assert f"plugin Inline of the call, {hook}, step {step} of 3: " in str(caught.value)
    assert words in str(caught.value)


def test_a_wrong_return_of_a_method_names_its_reference(edit):
    """The message of a method has the reference and the stage."""
    wrong = method(refhooks_step=lambda latents: latents[:, 1:])

    with pytest.raises(rh.HookReturnError, match=r"made \(reference 2, stage 1\), refhooks_step"):
        edit(references=[rh.Reference(tiny.picture(1), wrong)])


def not_a_number(tensor):
    """Return the tensor with one NaN in it."""
    spoilt = tensor.clone()
    spoilt.view(-1)[-1] = float("nan")
    return spoilt


def infinite(tensor):
    """Return the tensor, all infinite."""
    return tensor + float("inf")


UNKNOWN = torch.full((2, 1, 16, 2, 16), float("nan"))
NOT_FINITE = {
    "latents": ("refhooks_step", not_a_number),
    "infinite latents": ("refhooks_step", infinite),
    "velocity": ("refhooks_velocity", not_a_number),
    "target": ("refhooks_conditioning", with_field("target", not_a_number)),
    "added": ("refhooks_conditioning",
              with_field("added", lambda target: infinite(target).repeat(1, 1, 2))),
    "slot": ("refhooks_conditioning",
             with_slot(lambda target: rh.Tokens(not_a_number(target)))),
    "text": ("refhooks_conditioning", with_text(embeds=not_a_number)),
    "weight": ("refhooks_attention", attending(torch.tensor(float("nan")))),
    "scale": ("refhooks_attention", attending(key_scale=torch.tensor(float("inf")))),
    "value scale": ("refhooks_attention", attending(value_scale=torch.tensor(float("nan")))),
    "loaded": ("refhooks_attention", attending(load=rh.KeyValues(*[UNKNOWN, UNKNOWN]))),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_FINITE)
def test_nan_says_how_to_find_the_plugin_and_then_names_it(edit, kind):
    """The final check points to check="eager", which names the plugin."""
    hook, spoil = NOT_FINITE[kind]
    spoiling = plugin(**{hook: made_wrong(hook, spoil)})

    with pytest.raises(rh.NotFiniteError, match='again with check="eager"'):
        edit(plugins=[spoiling])
    with pytest.raises(rh.NotFiniteError, match=f"plugin Inline of the call, {hook}, step 1 of 3"):
        edit(plugins=[spoiling], check="eager")


def test_nan_of_the_model_itself_is_not_blamed_on_a_plugin(edit, pipe):
    """With check="eager" and innocent plugins the message says that it was the model."""
    last = pipe.transformer.proj_out
    handle = last.register_forward_hook(lambda _module, _args, output: output * float("nan"))
    try:
        with pytest.raises(rh.NotFiniteError, match="the model's own prediction"):
            edit(check="eager")
    finally:
        handle.remove()


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2 bytes"),
]


@pytest.mark.parametrize("full", FULL, ids=["device", "cpu"])
def test_out_of_memory_says_what_to_lower(edit, pipe, monkeypatch, full):
    """The message counts references and pictures and names what makes them smaller."""

    def decode(*_, **__):
        raise full

    monkeypatch.setattr(pipe.vae, "decode", decode)
    with pytest.raises(rh.OutOfMemoryError) as caught:
        edit(references=[tiny.picture(1)], n=2)
    monkeypatch.undo()

    for words in ("2 references", "2 pictures", "lower resolution, n", "offload"):
        assert words in str(caught.value)
    assert full is caught.value.__cause__


def test_out_of_memory_in_a_plugin_still_names_it(edit):
    """The cause carries the note."""

    def fail(latents):
        raise torch.OutOfMemoryError(f"no room for {latents.shape}")

    with pytest.raises(rh.OutOfMemoryError) as caught:
        edit(plugins=[plugin(refhooks_step=fail)])

    assert (caught.value.__cause__.__notes__) == [
        "raised by plugin Inline of the call, refhooks_step, step 1 of 3"
    ]


def test_one_transformer_runs_one_edit_at_a_time(edit):
    """A second edit is refused while the first runs, from any thread, and not after it."""
    inside, go_on = threading.Event(), threading.Event()
    finished = []

    def wait(_step, _latents, _x0):
        inside.set()
        assert go_on.wait(60)

    first = threading.Thread(target=lambda: finished.append(edit(callback=wait).latents))
    first.start()
    assert inside.wait(60)
    with pytest.raises(rh.BusyError, match="already runs an edit"):
        edit()
    go_on.set()
    first.join(60)

    assert torch.equal(finished[0], edit().latents)


def test_an_edit_inside_an_edit_is_refused(edit):
    """A callback that edits gets the error, and does not wait for itself for ever."""
    with pytest.raises(rh.BusyError):
        edit(callback=lambda *_: edit())


@pytest.mark.parametrize("keep", [[0, 16], [-1, 0], [3, 3, 5], [5, 3]])
def test_indices_of_kept_tokens_are_looked_at_eagerly(edit, keep):
    """They must rise within the picture; looking makes the device wait."""
    spoiling = plugin(
        refhooks_conditioning=made_wrong(
            "refhooks_conditioning",
            with_slot(lambda target: rh.Tokens(target, keep=torch.tensor(keep))),
        )
    )
    with pytest.raises(rh.HookReturnError, match=r"slot 0.keep must rise within 0 to 15"):
        edit(plugins=[spoiling], check="eager")


def test_an_empty_selection_of_tokens_is_refused(edit):
    """A slot without tokens is an empty slot."""
    none = torch.zeros(0, dtype=torch.int64)
    spoiling = plugin(
        refhooks_conditioning=made_wrong(
            "refhooks_conditioning", with_slot(lambda target: rh.Tokens(target, keep=none))
        )
    )
    with pytest.raises(rh.HookReturnError, match="keeps no token; leave the slot empty"):
        edit(plugins=[spoiling])

"""What prompts and pictures were encoded to is kept, and gives the same to the bit."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from families_table import ROWS, shrink

import refhooks as rh
from refhooks import testing
from refhooks._base.encodings import Encodings

STEPS = 2


@pytest.fixture(params=[name for name in ROWS if "distilled" not in name and "2511" not in name])
def row(request, monkeypatch):
    """One row a family."""
    found = ROWS[request.param]
    shrink(monkeypatch, found)
    return found


@pytest.fixture
def editor(monkeypatch):
    """On a small model, with areas that fit it."""
    shrink(monkeypatch, ROWS["qwen-image-edit-plus"])
    return ROWS["qwen-image-edit-plus"].editor()


def counted(editor, monkeypatch):
    """Count the calls of the text encoder, and those of the VAE's encoder."""
    counts = {"text": 0, "vae": 0}

    def count(name, own):
        def call(*args, **options):
            counts[name] += 1
            return own(*args, **options)

        return call

    for name, owner, method in (
        ("text", type(editor.family), "encode_texts"),
        ("vae", editor.family.run, "encode"),
    ):
        monkeypatch.setattr(owner, method, count(name, getattr(owner, method)))
    return counts


def edit(editor, prompt="make it blue", picture=0, **options):
    """Edit a random picture."""
    call = {"steps": STEPS, "seed": 1, "height": 32, "width": 32, "cfg": 2.0, **options}
    return editor.edit(testing.picture(picture, (48, 32)), prompt, **call).latents


def test_the_same_to_the_bit_on_every_family(row, monkeypatch):
    """A second edit encodes nothing, a second seed neither, and they are what they were."""
    kept, anew = row.editor(), row.editor()
    anew.family.encodings = Encodings(0)
    pictures = row.pictures(min(2, kept.family.max_references))
    ways = (None, rh.Stage("inject", 0.6))
    expected = [row.edit(anew, pictures, way, seed=seed).latents for way in ways for seed in (1, 2)]
    row.edit(kept, pictures, seed=1)
    row.edit(kept, pictures, ways[1], seed=1)
    counts = counted(kept, monkeypatch)

    actual = [row.edit(kept, pictures, way, seed=seed).latents for way in ways for seed in (1, 2)]

    assert all(map(torch.equal, expected, actual))
    assert counts == {"text": 0, "vae": 0}


def test_other_words_pictures_and_sizes_are_encoded(editor, monkeypatch):
    """The key is all that an encoding depends on."""
    edit(editor)
    counts = counted(editor, monkeypatch)
    changes = {
        "prompt": {"prompt": "make it red"},
        "negative prompt": {"negative_prompt": "red"},
        "picture": {"picture": 1},
        "size that is seen": {"vision_resolution": 32 * 32},
        "method that hides it": {"strength": 0.0},
    }
    for name, change in changes.items():
        before = counts["text"]
        edit(editor, **change)
        assert (name, counts["text"] > before) == (name, True)

    before = counts["vae"]
    edit(editor, picture=2)
    assert counts["vae"] > before


def change_vae(pipe):
    """One number, behind the back of the version counter."""
    next(pipe.vae.parameters()).data.view(-1)[1] += 0.5


def change_text(pipe):
    """One row of a table."""
    pipe.text_encoder.get_input_embeddings().weight.data[5] *= 1.5


def hook_text(pipe):
    """A hook of the user's."""
    pipe.text_encoder.lm_head.register_forward_hook(lambda _module, _args, output: output)


def tile_vae(pipe):
    """A setting."""
    pipe.vae.enable_slicing()


def template(pipe):
    """The words around the prompt."""
    pipe.prompt_template_encode = pipe.prompt_template_encode + " "


@pytest.mark.parametrize(
    ("change", "part"),
    [(change_vae, "vae"), (change_text, "text"), (hook_text, "text"), (tile_vae, "vae"),
     (template, "text")],
)  # fmt: skip
def test_a_changed_part_empties_what_it_encoded(editor, monkeypatch, change, part):
    """And the edit is that of an editor that kept nothing."""
    edit(editor)
    counts = counted(editor, monkeypatch)
    change(editor.pipe)

    after = edit(editor)

    assert counts[part] > 0
    assert torch.equal(after, edit(rh.Editor(editor.pipe, encodings_mib=0)))


def test_a_lora_of_the_text_encoder_empties_it(editor, monkeypatch):
    """Also one that is only scaled; peft puts it on."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    edit(editor)
    counts = counted(editor, monkeypatch)

    # By peft itself: add_adapter of transformers 5.24 asks for a peft that is not published.
    inject_adapter_in_model(config, editor.pipe.text_encoder, adapter_name="style")
    first = edit(editor)
    for layer in editor.pipe.text_encoder.modules():
        if isinstance(getattr(layer, "scaling", None), dict):
            layer.scaling["style"] *= 2
    second = edit(editor)

    assert counts["text"] == 4
    assert not torch.equal(first, second)


def test_a_lora_of_the_transformer_leaves_it(editor, monkeypatch):
    """Which encodes nothing."""
    edit(editor)
    counts = counted(editor, monkeypatch)
    next(editor.pipe.transformer.parameters()).data.mul_(1.01)

    edit(editor)

    assert counts == {"text": 0, "vae": 0}


def test_a_plugin_that_changes_what_it_is_given_changes_nothing_else(editor):
    """What is handed out is a copy, the first time as well."""

    class Vandal:
        @rh.hookimpl
        def refhooks_conditioning(self, ctx, branch, inputs):
            inputs.text.embeds.mul_(3)
            inputs.slots[0].latents.mul_(3)

    expected = edit(editor)
    spoiled = edit(editor, plugins=[Vandal()], picture=1)
    again = edit(editor, plugins=[Vandal()], picture=1)

    assert torch.equal(spoiled, again)
    assert torch.equal(expected, edit(editor))


def test_what_is_beyond_the_bound_goes_the_longest_unused_first():
    """By its bytes; what is larger than all of it is not kept."""
    kept = Encodings(1)  # MiB
    made = []

    def make(name, size=100_000):  # float32: .38 MiB
        return kept.once(("text", name), lambda: made.append(name) or torch.zeros(size))

    for name in ("a", "b", "a", "c", "a", "b"):
        make(name)
    make("huge", 2**20)
    make("huge", 2**20)

    assert made == ["a", "b", "c", "b", "huge", "huge"]
    assert len(kept) == 2
    assert kept.bytes == 800_000
    kept.clear()
    assert (len(kept), kept.bytes) == (0, 0)


def test_nan_is_never_kept():
    """It is made anew, so that the part is blamed each time."""
    kept = Encodings(1)
    made = []

    for _ in range(2):
        kept.once(("text",), lambda: made.append(1) or torch.full((2,), float("nan")))

    assert (len(made), len(kept)) == (2, 0)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "128", None])
def test_a_bound_that_is_none_is_refused(value):
    """Before a model is loaded."""
    with pytest.raises(rh.InputError, match="encodings_mib must be a number of MiB"):
        rh.Editor.from_pretrained("no such model", encodings_mib=value)


def test_nothing_is_kept_at_0(editor):
    """The editor asks each time."""
    pipe = editor.pipe
    anew = rh.Editor(pipe, encodings_mib=0)
    edit(anew)

    assert len(anew.family.encodings) == 0


def test_threads_share_it():
    """Whoever asks gets the value of the key, and the bytes are right."""
    kept = Encodings(1)
    wrong = []

    def work(number):
        for turn in range(200):
            name = (number + turn) % 12
            value = kept.once(("text", name), lambda own=name: torch.full((30_000,), float(own)))
            if not torch.equal(value, torch.full((30_000,), float(name))):
                wrong.append(name)
            value.fill_(-1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert kept.bytes == len(kept) * 120_000 <= 2**20


def test_a_deep_copy_keeps_its_own(editor):
    """An editor that is copied with its model."""
    edit(editor)
    other = copy.deepcopy(editor)

    assert len(other.family.encodings) == 0
    assert torch.equal(edit(other), edit(editor))


def test_grids_chains_and_pictures_profit(editor, monkeypatch, tmp_path):
    """A grid of four cells encodes what one edit does."""
    path = tmp_path / "photo.png"
    testing.picture(0, (48, 32)).save(path)
    counts = counted(editor, monkeypatch)
    options = {"steps": STEPS, "height": 32, "width": 32, "cfg": 2.0}
    strengths = {"methods": ["default"], "strengths": [0.5, 1]}
    editor.grid(path, "make it blue", **strengths, seeds=(1, 2), **options)

    assert counts == {"text": 2, "vae": 1}
    editor.edit(path, "make it blue", seed=5, **options)
    assert counts == {"text": 2, "vae": 1}

"""Training a projection: pairs, what is learned, resuming, and the command."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from click.testing import CliRunner
from joining import CHANNELS, SIZES, WIDTH
from safetensors import SafetensorError, safe_open

import refhooks as rh
from refhooks_concat import _files
from refhooks_concat import train as command
from refhooks_concat._examples import encoded
from refhooks_concat._learn import Learner, Settings
from refhooks_concat._pairs import read_pairs
from refhooks_concat.train import Job, train

pytestmark = pytest.mark.long


@pytest.fixture
def pairs(tmp_path):
    """Two edits of pictures of different shapes."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    lines = []
    for number, size in enumerate(((32, 32), (64, 32))):
        for place, name in enumerate((f"{number}.png", f"{number}-edited.png")):
            tiny.picture(2 * number + place, size).save(folder / name)
        line = {"source": f"{number}.png", "prompt": "do", "target": f"{number}-edited.png"}
        lines.append(json.dumps(line))
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n\n")
    return folder


@pytest.fixture
def fresh():
    """An editor of its own: training freezes a model's weights."""
    pipe = tiny.build("plus", "middle")
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(**SIZES, base="tiny"))


def held(path):
    """Return the tensors and the header of a file."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def job(pairs, tmp_path, **kwargs):
    """Return a short training run."""
    return Job(**{"pairs": pairs, "output": tmp_path / "p.safetensors", "steps": 4, **kwargs})


def fixed_loss(learner, examples):
    """The mean loss over noise and noise levels that are the same each time."""
    with torch.no_grad():
        losses = [
            learner.loss(example, torch.Generator().manual_seed(seed))
            for example in examples.all
            for seed in range(32)
        ]
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("rank", [0, 4])
def test_it_learns(pairs, rank):
    """The loss on two pairs falls, by P alone, and further with a LoRA on the embedded model."""
    toy = rh.Editor.from_pretrained("toy")
    settings = Settings(
        batch=2, lr=5e-3, lora_rank=rank, lora_lr=2e-3, prompt_dropped=0.0,
    )  # fmt: skip
    listed = read_pairs(pairs)
    with encoded(toy, listed, resolution=None, vision=False, say=lambda _: None) as examples:
        learner = Learner(toy, examples, settings)
        before = fixed_loss(learner, examples)
        for step in range(60):
            learner.learn(step)
        after = fixed_loss(learner, examples)

    assert after < (0.9 if rank == 0 else 0.85) * before


def test_the_model_stays_as_it_was(fresh, pairs, tmp_path):
    """Its weights, its hooks and its picture."""
    before = {name: value.clone() for name, value in fresh.pipe.transformer.state_dict().items()}
    settings = Settings(lora_rank=2, batch=2)

    train(fresh, job(pairs, tmp_path), settings)

    for name, value in fresh.pipe.transformer.state_dict().items():
        assert torch.equal(before[name], value), name
    assert not any(module._forward_hooks for module in fresh.pipe.transformer.modules())


def test_training_starts_as_if_there_were_no_reference(fresh, pairs):
    """P is zero, and so is what the LoRA adds."""
    with encoded(
        fresh, read_pairs(pairs), resolution=None, vision=True, say=lambda _: None
    ) as examples:
        plain = Learner(fresh, examples, Settings())
        with_lora = Learner(fresh, examples, Settings(lora_rank=4))
        assert fixed_loss(plain, examples) == fixed_loss(with_lora, examples)
        assert not plain.weight.any()
        assert sorted(with_lora.low_rank) == [
            f"transformer_blocks.{block}.attn.{end}"
            for block in range(2)
            for end in ("to_k", "to_out.0", "to_q", "to_v")
        ]


def test_gradient_checkpointing_changes_nothing(fresh, pairs, tmp_path):
    """But the memory and the time."""
    losses, weights = [], []
    for number, checkpointing in enumerate((False, True)):
        output = tmp_path / f"{number}.safetensors"
        settings = Settings(lora_rank=2, batch=2, gradient_checkpointing=checkpointing)
        losses.append(train(fresh, job(pairs, tmp_path, output=output), settings))
        weights.append(held(output)[0])

    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-5, rtol=0)
    assert not fresh.pipe.transformer.gradient_checkpointing


def test_a_stopped_run_goes_on_where_it_was(fresh, pairs, tmp_path, capsys):
    """Two steps, a stop, two more: the weights of four steps in one go, to the bit."""
    settings = Settings(lora_rank=2, batch=2)
    whole = train(fresh, job(pairs, tmp_path), settings)
    parts = job(pairs, tmp_path, output=tmp_path / "parts.safetensors")

    losses = [
        *train(fresh, job(pairs, tmp_path, output=parts.output, steps=2), settings),
        *train(fresh, parts, settings),
    ]

    assert "resumed after step 2" in capsys.readouterr().out
    assert whole == losses
    (one, _), (other, _) = held(tmp_path / "p.safetensors"), held(parts.output)
    for name, value in one.items():
        assert torch.equal(other[name], value), name
    assert not list(tmp_path.glob("*.new"))


def test_a_finished_run_writes_what_is_missing(fresh, pairs, tmp_path, capsys):
    """As after a stop between its two files; nothing is learned again."""
    losses = train(fresh, job(pairs, tmp_path, steps=2), Settings(batch=1))
    before, said = held(tmp_path / "p.safetensors")
    (tmp_path / "p.safetensors").unlink()

    again = train(fresh, job(pairs, tmp_path, steps=2), Settings(batch=1))

    assert (len(losses), again) == (2, [])
    assert "all 2 steps are taken" in capsys.readouterr().out
    after, told = held(tmp_path / "p.safetensors")
    assert said == told
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_full_disk_is_told_and_leaves_nothing(fresh, pairs, tmp_path, monkeypatch):
    """Safetensors has an error of its own for it."""

    def full(_tensors, place, _said):
        place.write_bytes(b"half")
        raise SafetensorError("I/O error: no space left on device")

    monkeypatch.setattr(_files, "save_file", full)
    with pytest.raises(rh.InputError, match=r"p.safetensors cannot be written: .*no space left"):
        train(fresh, job(pairs, tmp_path, steps=1), Settings(batch=1))

    assert sorted(path.name for path in tmp_path.glob("*.new")) == []


def test_any_seed_can_be_trained_with(fresh, pairs, tmp_path):
    """Also one that was made of a date."""
    assert train(fresh, job(pairs, tmp_path, steps=1), Settings(batch=1, seed=20240131123456))


def test_parts_come_back_to_where_they_were(fresh, pairs, tmp_path, monkeypatch):
    """What training sets aside is there for the next edit."""
    moved = []
    monkeypatch.setattr(
        type(fresh.pipe.vae), "to", lambda self, place: moved.append(str(place)) or self
    )
    train(fresh, job(pairs, tmp_path, steps=1), Settings(batch=1))

    assert moved == ["cpu", "cpu"]


def test_another_run_does_not_go_on(fresh, pairs, tmp_path):
    """Other options are named; a damaged file too."""
    train(fresh, job(pairs, tmp_path, steps=1), Settings(batch=1))
    with pytest.raises(rh.InputError, match=r"other pairs or options .*rank 0.*not .*rank 2"):
        train(fresh, job(pairs, tmp_path), Settings(batch=1, lora_rank=2))
    (tmp_path / "p.resume.safetensors").write_bytes(b"half a file")
    with pytest.raises(rh.InputError, match=r"cannot be read: .*; delete it to begin anew"):
        train(fresh, job(pairs, tmp_path), Settings(batch=1))


def test_what_is_written_fits_the_model(fresh, pairs, tmp_path):
    """Its header says for what it is; an edit takes it, P and LoRA."""
    train(fresh, job(pairs, tmp_path), Settings(lora_rank=2, batch=2, lr=0.05, lora_lr=0.05))
    tensors, said = held(tmp_path / "p.safetensors")
    arguments = {"steps": 2, "seed": 1, "cfg": 1.0}

    assert (said["family"], said["base"], said["note"]) == (fresh.family.name, "tiny", "step 4")
    assert json.loads(said["projection"])["shape"] == [WIDTH, CHANNELS]
    assert tensors["projection.weight"].any()
    method = rh.method("concat", projection=tmp_path / "p.safetensors")
    ours = fresh.edit(pairs / "0.png", "do", strategy=method, **arguments).latents
    nothing = rh.Strategy([rh.Stage("inject", 0.0)], vision="always")
    without = fresh.edit(pairs / "0.png", "do", strategy=nothing, **arguments).latents
    assert not torch.allclose(ours, without, atol=1e-4)


def test_a_loss_that_is_not_finite_ends_it(fresh, pairs, tmp_path):
    """With what to lower."""
    for parameter in fresh.pipe.transformer.proj_out.parameters():
        parameter.data.fill_(torch.nan)

    with pytest.raises(rh.NotFiniteError, match="the loss of step 1 is nan; lower --lr"):
        train(fresh, job(pairs, tmp_path), Settings(batch=1))


LINES = {
    "no json": ("{", "line 1 is not JSON"),
    "deep": ("[" * 100_000, "line 1 is not JSON"),
    "list": ("[]", "line 1 must be like"),
    "keys": ('{"source": "0.png"}', "line 1 must be like"),
    "type": ('{"source": 1, "prompt": "do", "target": "0.png"}', "line 1 must be like"),
    "absolute": ('{"source": "/etc/passwd", "prompt": "do", "target": "0.png"}', "is outside"),
    "above": ('{"source": "0.png", "prompt": "do", "target": "../p.png"}', "is outside"),
    "link": ('{"source": "link.png", "prompt": "do", "target": "0.png"}', "is outside"),
    "null": ('{"source": "\\u0000", "prompt": "do", "target": "0.png"}', "is no file name"),
    "missing": ('{"source": "none.png", "prompt": "do", "target": "0.png"}', "there is no file"),
    "folder": ('{"source": ".", "prompt": "do", "target": "0.png"}', "there is no file"),
    "nothing": ("\n", "lists no pair"),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_list_that_cannot_be_used_names_its_line(pairs, tmp_path, kind):
    """A list from a stranger names nothing outside its folder."""
    line, words = LINES[kind]
    tiny.picture().save(tmp_path / "p.png")
    (pairs / "link.png").symlink_to(tmp_path / "p.png")
    (pairs / "pairs.jsonl").write_text(line)

    with pytest.raises(rh.InputError, match=words):
        read_pairs(pairs)


def test_a_folder_without_a_list_says_what_belongs_there(tmp_path):
    """With an example of a line."""
    with pytest.raises(rh.InputError, match=r'holds no pairs.jsonl.*"prompt": "make it night"'):
        read_pairs(tmp_path)


def test_what_is_no_picture_is_refused(fresh, pairs, tmp_path):
    """By its name."""
    (pairs / "1-edited.png").write_text("not a picture")

    with pytest.raises(rh.InputError, match=r"1-edited.png is not a PNG, JPEG or WEBP"):
        train(fresh, job(pairs, tmp_path), Settings())


def test_the_command_trains_the_embedded_model(pairs, tmp_path):
    """From pairs to an edit, as the docs say."""
    output, behind = tmp_path / "p.safetensors", tmp_path / "behind.safetensors"
    output.symlink_to(behind)  # it stays, and what it leads to is written
    arguments = ["toy", str(pairs), "-o", str(output), "--steps", "2", "--batch", "1",
                 "--lora-rank", "2", "--gradient-checkpointing", "--device", "cpu"]  # fmt: skip

    result = CliRunner().invoke(command.main, arguments)

    assert result.exit_code == 0, result.output
    assert f"wrote {output}" in result.output
    assert output.is_symlink()
    assert behind.is_file()
    toy = rh.Editor.from_pretrained("toy")
    method = rh.method("concat", projection=output)
    sample = next(iter(rh.load_registry().models["toy"].samples()))
    edited = toy.edit(sample, "make it night", strategy=method, steps=2, seed=0)
    assert torch.isfinite(edited.latents).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy", "nowhere", "-o", "p.safetensors"], "holds no pairs.jsonl"),
        (["toy", "PAIRS", "-o", "p.pt"], "must be a .safetensors file"),
        (["toy", "PAIRS", "-o", "none/p.safetensors"], "in a folder that is there"),
        (["no-model", "PAIRS", "-o", "p.safetensors"], "there is no model 'no-model'"),
    ],
)
def test_the_command_refuses_in_one_sentence(pairs, tmp_path, monkeypatch, arguments, words):
    """Without a traceback."""
    monkeypatch.chdir(tmp_path)
    given = [str(pairs) if entry == "PAIRS" else entry for entry in arguments]

    result = CliRunner().invoke(command.main, given)

    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_folder_has_no_name(fresh, pairs, tmp_path):
    """So the checkpoint's is asked for."""
    nameless = rh.Editor(fresh.pipe, checkpoint=rh.Checkpoint(**SIZES))

    with pytest.raises(rh.InputError, match="give it with --base"):
        train(nameless, job(pairs, tmp_path), Settings())
    train(nameless, job(pairs, tmp_path, steps=1, base="mine"), Settings(batch=1))
    assert held(tmp_path / "p.safetensors")[1]["base"] == "mine"


def test_pairs_of_several_sizes_do_not_meet(pairs):
    """What one pair's pass puts on the model is gone in the next one's, of another size."""
    editor = rh.Editor(tiny.build("plus", "middle"), checkpoint=rh.Checkpoint(**SIZES))
    listed = read_pairs(pairs)
    settings = Settings(lora_rank=2, prompt_dropped=0.0)

    def losses(places):
        with encoded(
            editor, listed, resolution=48 * 48, vision=False, say=lambda _: None
        ) as examples:
            assert len(examples.runs) == 2
            learner = Learner(editor, examples, settings)
            with torch.no_grad():
                for parameter in learner.parameters.values():
                    parameter.fill_(0.05)
                return [
                    learner.loss(examples.all[place], torch.Generator().manual_seed(0)).item()
                    for place in places
                ]

    first, second = losses([0]), losses([1])
    assert losses([0, 1, 0, 1]) == [*first, *second] * 2

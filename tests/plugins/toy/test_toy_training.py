"""Training: optimizer, batches, resuming, and what a run leaves behind."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open

from refhooks_toy import WEIGHTS, _vae_training, load_pipeline
from refhooks_toy._export import PROJECTION
from refhooks_toy._learn import Settings, loss_of, rate, start_from, train_transformer
from refhooks_toy._modes import MODES, TEXT, Batches
from refhooks_toy._muon import Muon, orthogonal
from refhooks_toy._pool import load_pool
from refhooks_toy._text import Words
from refhooks_toy._toy import Toy
from refhooks_toy._training import Run
from refhooks_toy._vae import new_vae
from refhooks_toy._vae_training import train_vae

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import QwenImageEditPlusPipeline

    from refhooks_toy._pool import Pool

pytestmark = pytest.mark.long

PAIRS = 12
POOL = "pool.safetensors"


def settings(steps: int) -> Settings:
    """Settings of a run small enough for a test."""
    return Settings(
        steps=steps,
        batch=5,
        pairs=PAIRS,
        heads=1,
        layers=1,
        seed=0,
        compiled=False,
        export_minutes=60,
    )


@pytest.fixture(scope="module")
def words(untrained: QwenImageEditPlusPipeline) -> Words:
    """Tokenize with the untrained pipeline's tokenizer."""
    return Words(untrained.tokenizer)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train four steps in one go; what takes time is to encode edits, so others take its pool."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    torch.manual_seed(0)
    new_vae().save_pretrained(folder / "vae")
    train_transformer(folder, settings(4))
    return folder


@pytest.fixture(scope="module")
def pool(uninterrupted: Path, words: Words) -> Pool:
    """A few encoded edits."""
    return load_pool(uninterrupted / POOL, PAIRS, new_vae(), words, say=print, compiled=False)


def test_orthogonal_brings_singular_values_close_to_one() -> None:
    """Tall, wide and square matrices, however scaled."""
    for shape in ((3, 64, 16), (3, 16, 64), (2, 32, 32)):
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
        values = torch.linalg.svdvals(orthogonal(matrices).float())
        assert values.min() > 0.4
        assert values.max() < 1.4


def test_muon_learns_a_linear_map() -> None:
    """It brings a least-squares loss down a hundredfold."""
    torch.manual_seed(0)
    layer, wanted = torch.nn.Linear(16, 8, bias=False), torch.randn(8, 16)
    optimizer = Muon([layer.weight], lr=0.05)
    losses = []
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 200)
        x = torch.randn(32, 16)
        loss = (layer(x) - x @ wanted.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 100


def test_the_rate_rises_holds_and_falls() -> None:
    """A short ramp, a plateau, and almost nothing at the end."""
    assert rate(0, 10_000) < 0.01
    assert rate(5_000, 10_000) == 1
    assert rate(9_999, 10_000) == pytest.approx(0.01)


@pytest.mark.parametrize("name", MODES)
def test_a_batch_shows_its_references_as_its_mode_says(name: str, pool: Pool, words: Words) -> None:
    """Tokens, pictures for the text encoder and input channels appear only where asked for."""
    mode = MODES[name]
    batch = Batches(pool, words, 5).draw(mode, torch.Generator().manual_seed(0))
    assert batch.references.shape == (5, 64 * mode.tokens, 64)
    assert (batch.concat is not None) == mode.concat
    shown = 0 if batch.pictures is None else len(batch.pictures) // 5
    assert shown == mode.shown
    assert batch.ids.shape == (5, TEXT[mode.shown])
    image = words.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert (batch.ids == image).sum(dim=1).tolist() == [4 * mode.shown] * 5


def test_every_mode_trains_what_it_uses(pool: Pool, words: Words) -> None:
    """The projection gets a gradient in concat modes only, the vision tower where it sees."""
    torch.manual_seed(0)
    toy = Toy(words, heads=1, layers=1)
    torch.nn.init.normal_(toy.transformer.proj_out.weight)
    for block in toy.transformer.transformer_blocks:
        torch.nn.init.normal_(block.img_mod[1].weight, std=0.1)
    tower = toy.text_encoder.model.visual.patch_embed.proj.weight
    for mode in MODES.values():
        toy.zero_grad()
        generator = torch.Generator().manual_seed(0)
        loss_of(toy, Batches(pool, words, 5).draw(mode, generator), generator).backward()
        assert (toy.projection.weight.grad is not None) == mode.concat
        assert (tower.grad is not None) == bool(mode.shown)


def test_dropped_prompts_become_the_empty_prompt(pool: Pool, words: Words) -> None:
    """With every prompt dropped, all rows hold what the negative prompt's tokens are."""
    batches = Batches(pool, words, 5, text_dropped=1.0)
    batch = batches.draw(MODES["tokens"], torch.Generator().manual_seed(0))
    (empty,) = words.ids([" "], 0)
    for ids, mask in zip(batch.ids, batch.mask, strict=True):
        assert ids[mask].tolist() == empty


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """A killed run loses nothing before its checkpoint, and a half-written one does no harm."""
    layer = torch.nn.Linear(2, 2)
    run = Run(tmp_path, "toy", 10, ["loss"])
    run.save(4, {"layer": layer})
    (tmp_path / "toy.new").write_bytes(b"half a checkpoint")
    other = torch.nn.Linear(2, 2)
    again = Run(tmp_path, "toy", 10, ["loss"])
    again.resume({"layer": other})
    assert torch.equal(other.weight, layer.weight)
    assert list(again) == [5, 6, 7, 8, 9]


def test_resuming_gives_the_uninterrupted_run(uninterrupted: Path, tmp_path: Path) -> None:
    """Two steps, a stop, two more: the weights of four steps in one go."""
    shutil.copytree(uninterrupted / "vae", tmp_path / "vae")
    shutil.copy(uninterrupted / POOL, tmp_path)

    for stop in (2, 4):
        train_transformer(tmp_path, settings(4), stop=stop)

    weights, expected = (
        load_pipeline(folder=folder / "export").transformer.state_dict()
        for folder in (tmp_path, uninterrupted)
    )
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, msg=name)


def test_an_export_holds_the_projection_with_its_family(uninterrupted: Path) -> None:
    """The projection file names what it was trained for, and fits the transformer."""
    with safe_open(uninterrupted / "export" / PROJECTION, "pt") as file:
        assert file.metadata()["family"] == "qwen-image-edit-plus"
        assert file.get_tensor("projection.weight").shape == (32, 64)


def test_the_autoencoder_trains_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few steps lower its loss, and leave a loadable autoencoder with its latents' scale."""
    for name, count in (("psnr", 8), ("measure_latents", 128)):  # of 64 and 512 pictures
        fewer = functools.partial(getattr(_vae_training, name), count=count)
        monkeypatch.setattr(_vae_training, name, fewer)
    train_vae(tmp_path, steps=2, batch=1, compiled=False, seed=0)
    train_vae(tmp_path, steps=3, batch=1, compiled=False, seed=0)
    from diffusers import AutoencoderKLQwenImage

    vae = AutoencoderKLQwenImage.from_pretrained(tmp_path / "vae")
    assert min(vae.config.latents_std) > 0
    assert vae.config.latents_std != [1.0] * 16


def test_a_run_logs_means_and_draws_their_curve(tmp_path: Path) -> None:
    """Every hundred steps one row: step, minutes, and the mean of each loss, if there was any."""
    run = Run(tmp_path, "toy", 200, ["even", "odd", "never"])
    for step in run:
        run.log(step, {("even", "odd")[step % 2]: float(step)})
    run.save(199, {})
    rows = [line.split(",") for line in (tmp_path / "toy.csv").read_text().splitlines()]
    assert [[row[0], *row[2:]] for row in rows] == [
        ["100", "49.0", "50.0", "nan"],
        ["200", "149.0", "150.0", "nan"],
    ]
    assert (tmp_path / "toy.png").stat().st_size > 0


def test_training_may_begin_with_exported_weights(words: Words) -> None:
    """The package's own, to go on where they are; of another shape they are refused."""
    shipped = load_pipeline()
    toy = Toy(Words(shipped.tokenizer), heads=4, layers=6)

    start_from(toy, WEIGHTS)

    expected = dict(shipped.transformer.named_parameters())
    for name, parameter in toy.transformer.named_parameters():
        assert torch.equal(parameter, expected[name])
    assert toy.projection.weight.abs().sum() > 0
    with pytest.raises(RuntimeError, match="size mismatch"):
        start_from(Toy(words, heads=1, layers=6), WEIGHTS)

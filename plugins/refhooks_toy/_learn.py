"""Train the transformer, with the text encoder, its vision tower and the concat projection."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

import attrs
import torch
from diffusers import AutoencoderKLQwenImage
from safetensors import safe_open
from torch import Tensor, nn

from refhooks_toy._export import PROJECTION, export
from refhooks_toy._fast import speed_up
from refhooks_toy._load import load
from refhooks_toy._model import SHIFT
from refhooks_toy._modes import MODES, Batch, Batches
from refhooks_toy._muon import Muon
from refhooks_toy._pool import load_pool
from refhooks_toy._ship import remember_start
from refhooks_toy._text import Words
from refhooks_toy._tokenizer import new_tokenizer
from refhooks_toy._toy import Toy
from refhooks_toy._training import Run, Stateful

if TYPE_CHECKING:
    from pathlib import Path

CHANGED: Final = 4.0
"""How much more a changed token counts in the loss than an unchanged one."""


@attrs.frozen
class Settings:
    """What a transformer run can choose; `pairs` is the size of the pool.

    `start` is a folder of exported weights to begin with, such as the package's own, instead of
    random ones; the optimizers begin anew.
    """

    steps: int
    batch: int
    pairs: int
    heads: int
    layers: int
    seed: int
    compiled: bool
    export_minutes: float
    start: Path | None = None


def loss_of(toy: Toy, batch: Batch, generator: torch.Generator) -> Tensor:
    """Flow-matching loss: of the velocity `noise - right`, changed tokens counting more."""
    b = len(batch.right)
    noise = torch.randn(batch.right.shape, generator=generator)
    even = (torch.arange(b) + torch.rand(b, generator=generator)) / b  # one in every b-th part
    u = even[torch.randperm(b, generator=generator)]
    sigma = SHIFT * u / (1 + (SHIFT - 1) * u)
    level = sigma[:, None, None]
    noisy = (1 - level) * batch.right + level * noise
    with torch.autocast("cpu", torch.bfloat16):
        velocity = toy(noisy, sigma, batch)
    error = (velocity.float() - (noise - batch.right)).square().mean(dim=-1)  # [B, T]
    weight = 1 + CHANGED * batch.changed
    loss: Tensor = (error * weight / weight.mean(dim=1, keepdim=True)).mean()
    return loss


def start_from(toy: Toy, folder: Path) -> None:
    """Take over exported weights; raises RuntimeError if they are of another shape."""
    pipe = load(folder, "cpu", torch.float32)
    toy.transformer.load_state_dict(pipe.transformer.state_dict())
    toy.text_encoder.load_state_dict(pipe.text_encoder.state_dict())
    with safe_open(folder / PROJECTION, "pt") as file:
        toy.projection.load_state_dict({"weight": file.get_tensor("projection.weight").float()})


def optimizers(toy: Toy) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices of the blocks, AdamW for all else."""
    inner: list[nn.Parameter] = []
    outer: list[nn.Parameter] = []
    for name, parameter in toy.named_parameters():
        block = any(part in name for part in ("transformer_blocks", ".layers.", ".blocks."))
        (inner if block and parameter.ndim == 2 else outer).append(parameter)
    return Muon(inner, lr=0.02), torch.optim.AdamW(
        outer, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0
    )


def rate(step: int, steps: int) -> float:
    """Learning-rate factor: 300 steps up, flat, and down to a hundredth over the last 30 %."""
    return min((step + 1) / 300, 1.0, max(0.01, (steps - step) / (0.3 * steps)))


@attrs.frozen(eq=False)
class Learner:
    """The model in training, its average, its optimizers and its batches."""

    toy: Toy
    average: Toy
    muon: Muon
    adam: torch.optim.AdamW
    batches: Batches
    settings: Settings

    @classmethod
    def new(cls, batches: Batches, settings: Settings) -> Learner:
        """Start from random weights, or from those that the settings name."""
        toy = Toy(batches.words, settings.heads, settings.layers)
        if settings.start is not None:
            start_from(toy, settings.start)
        return cls(toy, copy.deepcopy(toy), *optimizers(toy), batches, settings)

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds."""
        return {"toy": self.toy, "average": self.average, "muon": self.muon, "adam": self.adam}

    def speed_up(self) -> None:
        """Give the model in training the faster forms of its parts."""
        speed_up(self.toy.transformer, compiled=self.settings.compiled)
        self.toy.text_encoder.set_attn_implementation("eager")  # faster backwards, when short

    def learn(self, step: int) -> tuple[str, float]:
        """Take one step; returns the name of its mode and the loss."""
        factor = rate(step, self.settings.steps)
        self.muon.param_groups[0]["lr"] = 0.02 * factor
        self.adam.param_groups[0]["lr"] = 1e-3 * factor
        generator = torch.Generator().manual_seed(self.settings.seed * 100_000_007 + step)
        mode = _mode(generator)
        loss = loss_of(self.toy, self.batches.draw(MODES[mode], generator), generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.toy.parameters(), 1.0)
        for optimizer in (self.muon, self.adam):
            optimizer.step()
            optimizer.zero_grad()
        blend(self.average, self.toy, min(0.999, (1 + step) / (10 + step)))
        return mode, loss.item()


def train_transformer(folder: Path, settings: Settings, *, stop: int | None = None) -> None:
    """Train in `folder`, or go on where a run stopped; export the averaged weights regularly.

    `stop` ends the run after so many of its steps, as if it were interrupted.
    """
    torch.manual_seed(settings.seed)
    words = Words(new_tokenizer())
    vae = AutoencoderKLQwenImage.from_pretrained(folder / "vae")
    run = Run(folder, "transformer", settings.steps, list(MODES))
    if settings.start is not None and not run.resumes:
        remember_start(folder, settings.start)
    path = folder / "pool.safetensors"
    pool = load_pool(path, settings.pairs, vae, words, run.say, compiled=settings.compiled)
    learner = Learner.new(Batches(pool, words, settings.batch), settings)
    run.resume(learner.parts)
    learner.speed_up()
    done, exported = run.first, run.minutes
    for step in run:
        mode, loss = learner.learn(step)
        done = step + 1
        run.log(step, {mode: loss})
        if run.due(step, minutes=3) or done in (stop, settings.steps):
            run.save(step, learner.parts)
        if done == stop:
            break
        if run.minutes - exported > settings.export_minutes:
            exported = run.minutes
            export(folder / "export", vae, learner.average, words, note=f"step {done}", say=run.say)
    export(folder / "export", vae, learner.average, words, note=f"step {done}", say=run.say)


def _mode(generator: torch.Generator) -> str:
    shares = torch.tensor([mode.share for mode in MODES.values()])
    return list(MODES)[int(torch.multinomial(shares, 1, generator=generator))]


@torch.no_grad()
def blend(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average of weights towards a model's."""
    kept, new = tuple(average.parameters()), tuple(model.parameters())
    torch._foreach_lerp_(kept, new, 1 - decay)

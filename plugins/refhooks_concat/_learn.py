"""Training: P, and perhaps a LoRA, learn to use a reference that joins the input channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss

from refhooks import Adapter, Branch, Context, LowRank, NotFiniteError, Step
from refhooks_concat._examples import Example, Examples, text_to
from refhooks_concat._projection import input_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from refhooks import Editor

LEVELS = 1000
"""Noise levels to train at: those that a run of so many steps has."""

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


@attrs.frozen(kw_only=True)
class Settings:
    """What a training run can choose.

    Attributes:
        batch: Pairs to a step; they pass the model one by one.
        lr: Learning rate of P.
        lora_rank: 0 trains no LoRA.
        lora_lr: Learning rate of the LoRA.
        seed: Of pairs, noise and first weights.
        prompt_dropped: Share of the samples with the empty prompt, which guidance needs.
        gradient_checkpointing: Compute each block twice instead of keeping what it computed.
    """

    batch: int = 4
    lr: float = 1e-3
    lora_rank: int = 0
    lora_lr: float = 1e-4
    seed: int = 0
    prompt_dropped: float = 0.1
    gradient_checkpointing: bool = False


class Learner:
    """P and a LoRA in training, on a model that stays as it is.

    The pass is the one that a run of the method makes: family, hooks and layers are the same.

    Args:
        editor: With the model; its weights are frozen.
        examples: To learn from.
        settings: How.

    Attributes:
        weight: P, ``[width,C]``, float32, from zeros.
        low_rank: The LoRA's factors by layer, float32; the second one from zeros.
        optimizer: Of both.
    """

    def __init__(self, editor: Editor, examples: Examples, settings: Settings) -> None:
        self._family, self._examples, self._settings = editor.family, examples, settings
        self._levels = {
            size: editor.family.schedule(LEVELS, size)[1:] for size in examples.runs
        }  # noise levels and timesteps, with the shift that the model is run with
        self._family.transformer.requires_grad_(requires_grad=False)
        layer = input_layer(editor.model)
        noise = next(iter(examples.runs.values())).noise
        self._device, self._dtype = noise.device, noise.dtype
        shape = (layer.out_features, layer.in_features)
        self.weight = nn.Parameter(torch.zeros(shape, device=self._device))
        names = _attention_layers(self._family.transformer) if settings.lora_rank else ()
        generator = torch.Generator().manual_seed(settings.seed)
        self.low_rank = {
            name: self._new_factors(editor.model.layer(name), generator) for name in names
        }
        factors = [factor for pair in self.low_rank.values() for factor in pair]
        groups = [{"params": [self.weight], "lr": settings.lr}]
        groups += [{"params": factors, "lr": settings.lora_lr}] if factors else []
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by the names that a projection file has for it."""
        named = {"projection.weight": self.weight}
        for name, (down, up) in self.low_rank.items():
            named[f"transformer.{name}.lora_A.weight"] = down
            named[f"transformer.{name}.lora_B.weight"] = up
        return named

    def learn(self, step: int) -> float:
        """Take a step; what it draws depends on the seed and its number only. Returns the loss.

        Raises:
            NotFiniteError: The loss is NaN or infinite.
        """
        seed = (self._settings.seed * 1_000_003 + step) % 2**63
        generator = torch.Generator().manual_seed(seed)
        total = 0.0
        for example in self._drawn(generator):
            loss = self.loss(example, generator) / self._settings.batch
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise NotFiniteError(f"the loss of step {step + 1} is {total}; lower --lr or --lora-lr")
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total

    def loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the flow-matching loss of a pair, at a noise level of the sampler's schedule."""
        sigmas, timesteps = self._levels[example.size]
        level = int(torch.randint(len(sigmas), (), generator=generator))
        sigma = sigmas[level]
        noise = torch.randn(example.target.shape, generator=generator)
        noisy = (1 - sigma) * example.target + sigma * noise  # [1,T,C]
        dropped = float(torch.rand((), generator=generator)) < self._settings.prompt_dropped
        branch = Branch("cond", "uncond" if dropped else "cond")
        velocity = self._predict(example, noisy, branch, sigma, timesteps[level])
        return mse_loss(velocity.float(), (noise - example.target).to(self._device))

    def _predict(
        self, example: Example, noisy: Tensor, branch: Branch, sigma: float, t: Tensor
    ) -> Tensor:
        run = self._examples.runs[example.size]
        for other in self._examples.runs.values():
            if other is not run:
                other.close()  # what it has put on the model would act in this pass too
        added = linear(example.source.to(self._device), self.weight)  # [1,T,width]
        inputs = attrs.evolve(
            run.inputs(noisy.to(self._device, self._dtype), branch),
            slots=(None,),
            text=text_to(example.texts[branch.text], self._device),
            added=added.to(self._dtype),
            adapters=self._adapters(),
        )
        ctx = Context(
            step=Step(index=0, total=1, sigma=sigma),
            t=t,
            family=self._family.name,
            blocks=self._family.blocks,
            rows=(),
        )
        return run.predict(ctx, branch, inputs, ())

    def _adapters(self) -> tuple[Adapter, ...]:
        layers = tuple(
            LowRank(name, down.to(self._dtype), up.to(self._dtype))
            for name, (down, up) in self.low_rank.items()
        )
        return (Adapter("concat in training", layers),) if layers else ()

    def _drawn(self, generator: torch.Generator) -> Iterator[Example]:
        places = torch.randint(
            len(self._examples.all), (self._settings.batch,), generator=generator
        )
        return (self._examples.all[place] for place in places.tolist())

    def _new_factors(
        self, layer: Any, generator: torch.Generator
    ) -> tuple[nn.Parameter, nn.Parameter]:
        rank, sizes = self._settings.lora_rank, (layer.in_features, layer.out_features)
        down = torch.randn(rank, sizes[0], generator=generator) / math.sqrt(sizes[0])
        up = torch.zeros(sizes[1], rank)
        return nn.Parameter(down.to(self._device)), nn.Parameter(up.to(self._device))


def _attention_layers(transformer: nn.Module) -> tuple[str, ...]:
    """The projections of the picture's tokens in every attention."""
    return tuple(
        name
        for name, module in transformer.named_modules()
        if hasattr(module, "in_features") and name.endswith(tuple(f".{end}" for end in _ATTENTION))
    )

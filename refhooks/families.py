"""What adapters to flow-matching models on packed latents share.

:class:`FlowFamily` and :class:`FlowRun` are :class:`refhooks.Family` and
:class:`refhooks.FamilyRun` with what such models have in common: noise from seeds, one encoded text
for each pass, grids, plain classifier-free guidance, the end of a run. An adapter adds how a prompt
and a picture are encoded, what its transformer is given, and how latents become pictures.

The module imports neither torch nor diffusers: a plugin that defines its family in its own module
is loaded with every command.
"""

from __future__ import annotations

import abc
import functools
from typing import TYPE_CHECKING, Any, ClassVar

from refhooks._core.contract.family import Family
from refhooks._core.contract.family_run import FamilyRun
from refhooks._core.contract.values import Branch
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Guidance, Shown
    from refhooks._core.contract.values import Adapter, Inputs, LowRank, Text

__all__ = ["FlowFamily", "FlowRun", "LayerHooks", "flow_schedule", "is_compiled"]


def flow_schedule(
    pipe: Any,
    tokens: int,
    steps: int,
    total: int | None = None,
    *,
    mu: float | None = None,
    sigmas: Sequence[float] | None = None,
) -> tuple[Any, Sequence[float], Tensor]:
    """Return a private copy of a pipeline's scheduler, ready to run.

    It is built for all steps and then cut: built for the last noise levels alone, it would shift
    those again.

    Args:
        pipe: The pipeline, left as it is.
        tokens: Of the output, ``T``.
        steps: How many are run, ``N``.
        total: Steps of the full schedule, of which the last ``N`` are run; ``None``: ``N``.
        mu: The dynamic shift; ``None``: linear in ``tokens``, by the scheduler's configuration.
        sigmas: Noise levels of the full schedule before the shift, 1 → 0, without the last 0, for
            a checkpoint with fixed ones; ``None``: from 1 to ``1 / total`` in equal steps.

    Returns:
        The scheduler at its first step of the run, the noise level before each step ``[N]``, and
        the timesteps ``[N]`` on the device of the run.

    Raises:
        InputError: The scheduler is none that is supported, has no noise levels for so few steps,
            or ``sigmas`` are not as many as ``total``.
    """
    from refhooks._core.contract import flow_schedule as built  # noqa: PLC0415  imports diffusers

    return built.flow_schedule(pipe, tokens, steps, total or steps, mu=mu, sigmas=sigmas)


class FlowFamily(Family):
    """Adapter to a flow-matching model on packed latents.

    Attributes:
        run: The class of its runs.
    """

    run: ClassVar[type[FlowRun]]

    @property
    def blocks(self) -> int:
        """Number of transformer blocks: those of ``transformer_blocks``, and the single ones."""
        single = getattr(self.pipe.transformer, "single_transformer_blocks", ())
        return len(self.pipe.transformer.transformer_blocks) + len(single)

    @abc.abstractmethod
    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],
        references: Sequence[Size | None],
        copies: int,
    ) -> Text:
        """Return encoded prompts, each repeated ``copies`` times in a row.

        Args:
            prompts: One or more.
            shown: The pictures that the text encoder sees.
            references: As for :meth:`refhooks.Family.open`.
            copies: Pictures that are made of each prompt.
        """

    def check_texts(
        self,
        prompted: Mapping[str, Sequence[str]],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> None:
        """Refuse prompts that do not fit the model, before any is encoded; by default none.

        Args:
            prompted: The prompts of each text, such as ``cond`` and ``uncond``.
            size: Of the output.
            references: As for :meth:`refhooks.Family.open`.
            shown: Likewise.

        Raises:
            InputError: They do not fit.
        """

    def open(
        self,
        *,
        prompts: Sequence[str],
        guidance: Guidance,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> FlowRun:
        """Encode the prompts, with true guidance also the negative ones, and draw the noise."""
        prompted = {"cond": prompts}
        if self.guidance_kind == "true" and guidance.scale > 1:
            prompted["uncond"] = guidance.negative
        self.check_texts(prompted, size, references, shown)
        copies = len(seeds) // len(prompts)
        try:
            texts = {
                name: self.encode_texts(own, shown, references, copies)
                for name, own in prompted.items()
            }
        except BaseException:
            self.pipe.maybe_free_model_hooks()  # an offloaded text encoder goes back to rest
            raise
        return self.run(
            self, texts=texts, scale=guidance.scale, seeds=seeds, size=size, references=references
        )


class FlowRun(FamilyRun):
    """The state of one run on packed latents.

    Args:
        family: Its adapter.
        texts: The encoded prompts, by the names of the passes that read them.
        scale: Of the guidance.
        seeds: One for each picture of the batch.
        size: Of the output.
        references: Size at which the VAE encodes each reference, or ``None``.

    Attributes:
        family: As given.
        pipe: The pipeline.
        device: Of the run.
        dtype: Of the run, that of the encoded prompts.
        scale: As given.
    """

    def __init__(
        self,
        family: FlowFamily,
        *,
        texts: Mapping[str, Text],
        scale: float,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
    ) -> None:
        config = family.pipe.transformer.config
        self.family: Any = family
        self.pipe: Any = family.pipe
        self.texts = texts
        self.scale = scale
        self.device = family.pipe._execution_device
        self.dtype = texts["cond"].embeds.dtype
        self.grid = family.grid(size)
        self.grids = tuple([None if entry is None else family.grid(entry) for entry in references])
        self.heads = config.num_attention_heads
        self.width = config.num_attention_heads * config.attention_head_dim
        self.branches = tuple(Branch(name, text=name) for name in texts)
        self.noise = self.draw(seeds)

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape in which the stock pipeline draws noise.

        By default ``[B,C,rows,columns]``, with the ``C`` of the transformer.
        """
        return (batch, self.pipe.transformer.config.in_channels, *self.grid)

    def pack(self, latents: Tensor) -> Tensor:
        """Return drawn or encoded latents as tokens ``[B,T,C]``, row by row.

        By default the last two axes are rows and columns, and the second ``C``.
        """
        return latents.flatten(-2).reshape(latents.shape[0], latents.shape[1], -1).transpose(1, 2)

    def draw(self, seeds: Sequence[int]) -> Tensor:
        """Return the noise of each seed, ``[B,T,C]``, from generators on the CPU."""
        import torch  # noqa: PLC0415  plugins load without it
        from diffusers.utils.torch_utils import randn_tensor  # noqa: PLC0415

        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        shape = self.noise_shape(len(seeds))
        return self.pack(
            randn_tensor(shape, generator=generators, device=self.device, dtype=self.dtype)
        )

    def guide(self, predictions: Mapping[str, Tensor]) -> Tensor:
        """Plain classifier-free guidance, ``u + scale·(c − u)``, where there are two passes."""
        cond, uncond = predictions["cond"], predictions.get("uncond")
        return cond if uncond is None else uncond + self.scale * (cond - uncond)

    def close(self) -> None:
        """Let an offloaded pipeline go back to rest."""
        self.pipe._current_timestep = None
        self.pipe.maybe_free_model_hooks()


class LayerHooks:
    """Forward hooks that a run has on layers of a transformer: put on when first needed.

    Args:
        transformer: The model.
        projection: Name of the linear layer by which latent tokens enter it.
        tail: Whether the target's tokens are the last that pass it; else they are the first.
    """

    def __init__(self, transformer: Any, projection: str, *, tail: bool = False) -> None:
        self._transformer = transformer
        self._projection = projection
        self._tail = tail
        self._handles: dict[tuple[str, str], Any] = {}
        self._added: Tensor | None = None
        self._adapters: tuple[Adapter, ...] = ()
        self._low_rank: dict[str, list[LowRank]] = {}

    def use(self, inputs: Inputs) -> None:
        """Have the next pass mind ``inputs.added`` and ``inputs.adapters``."""
        self._added = inputs.added
        if inputs.added is not None:
            self.install(self._projection, self._add)
        if inputs.adapters == self._adapters:  # they are compared by identity
            return
        self._adapters = inputs.adapters
        self._low_rank = {}
        for entry in (entry for adapter in inputs.adapters for entry in adapter.layers):
            self._low_rank.setdefault(entry.layer, []).append(entry)
        for layer in self._low_rank:
            self.install(layer, functools.partial(self._adapt, layer), "adapter")

    def pause_added(self) -> None:
        """Have the next pass add nothing to the target, as one that computes a prefix alone."""
        self._added = None

    def install(self, name: str, hook: Any, purpose: str = "") -> None:
        """Put a forward hook on a module, once for each purpose.

        Args:
            name: Its dotted name inside the transformer.
            hook: As for ``torch.nn.Module.register_forward_hook``.
            purpose: Tells several hooks on one module apart.

        Raises:
            InputError: The transformer is compiled as a whole, and would not see it.
        """
        if is_compiled(self._transformer):
            raise InputError(
                "the transformer is compiled as a whole, which hides from it what is added to its"
                " inputs; compile its blocks instead (transformer.compile_repeated_blocks())"
            )
        if (purpose, name) not in self._handles:
            module = self._transformer.get_submodule(name)
            self._handles[purpose, name] = module.register_forward_hook(hook)

    def remove(self) -> None:
        """Take everything off."""
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()
        self._added, self._adapters, self._low_rank = None, (), {}

    def _adapt(self, layer: str, _module: Any, args: Any, output: Tensor) -> Tensor | None:
        from torch.nn.functional import linear  # noqa: PLC0415  plugins load without it

        if layer not in self._low_rank:
            return None
        for entry in self._low_rank[layer]:
            down, up = entry.down.to(output.device), entry.up.to(output.device)
            low = linear(args[0].to(down.dtype), down)  # [...,rank]
            output = output + linear(low, up).to(output.dtype)
        return output

    def _add(self, _module: Any, _args: Any, output: Tensor) -> Tensor | None:
        import torch  # noqa: PLC0415  plugins load without it

        if self._added is None:
            return None
        added = self._added.to(output.device)
        tokens = added.shape[1]
        if self._tail:
            return torch.cat([output[:, :-tokens], output[:, -tokens:] + added], dim=1)
        return torch.cat([output[:, :tokens] + added, output[:, tokens:]], dim=1)


def is_compiled(module: Any) -> bool:
    """Return whether a module is compiled as a whole."""
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None

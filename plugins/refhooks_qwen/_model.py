"""What a run puts on the transformer, only when it needs it, and takes off again.

The stock forward knows whole pictures, one after the other. Two plain forward hooks give it what it
lacks: one on the position embedding (some tokens of a picture, a slot that is empty, other
positions), one on the input projection (what joins after it); one more on each linear layer that an
adapter changes. Processors edit attention.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from refhooks import HookReturnError, InputError, Layout
from refhooks.families import Joiner, LayerHooks, is_compiled
from refhooks_qwen import _positions
from refhooks_qwen._attention import processors
from refhooks_qwen._modulation import Modulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Inputs, Tokens
    from refhooks.attention import GroupEdit, Processors

Grid = tuple[int, int]
Shape = tuple[int, int, int]
Filled = list[tuple[int, "Tokens"]]
_LAYOUTS = 16  # of which the frequencies are kept
_ROW = 4096  # positions that the stock embedding has on one axis
_GRAPHS = 64  # of a compiled block


class ModelHooks:
    """What one run has on a ``QwenImageTransformer2DModel``.

    Args:
        transformer: The model.
        grid: Rows and columns of the target's tokens.
        grids: Those of each reference, ``None`` where it gives no tokens.
    """

    def __init__(self, transformer: Any, grid: Grid, grids: tuple[Grid | None, ...]) -> None:
        self._transformer = transformer
        self._grid = grid
        self._grids = grids
        self._reach = max(_positions.reach(entry) for entry in (grid, *grids))
        self._processes = _even_processes(transformer)
        self._joiner = Joiner()
        self._layers = LayerHooks(transformer, "img_in")
        self._modulation = Modulation(transformer, self._layers)
        self._processors: Processors | None = None
        self._limit = contextlib.ExitStack()
        self._frequencies: dict[Any, tuple[list[Tensor | None], tuple[Tensor, Tensor]]] = {}
        self._rotary: tuple[Tensor, Tensor] | None = None

    def prepare(self, *, attention: bool, record: bool) -> None:
        """Put the processors on if anything needs them, and let compiled blocks have their graphs.

        Edited and stock steps, prompts and sizes need a graph each before shapes become dynamic:
        together more than ``torch.compile`` allows, and those of earlier runs count.

        Raises:
            InputError: The model's attention is not the stock one.
        """
        if any(map(is_compiled, self._transformer.transformer_blocks)):
            self._limit.enter_context(torch._dynamo.config.patch(recompile_limit=_GRAPHS))
        if attention or record:
            self._processors = processors(self._transformer, record=record)
            self._processors.install()

    def arrange(
        self, inputs: Inputs, layout: Layout, edits: Sequence[GroupEdit]
    ) -> tuple[Tensor, list[Shape]]:
        """Return the transformer's ``hidden_states`` and ``img_shapes`` for these inputs.

        Positions that the stock forward would get wrong are set by the hook on the position
        embedding; ``img_shapes`` then only counts tokens (``zero_cond_t`` reads it for that).
        """
        filled = _filled(inputs)
        self._layers.use(inputs)
        self._modulation.use(inputs, layout)
        if self._processors is not None:
            self._processors.plan(layout, edits, inputs.target.device)
        stock = _is_native(inputs) and self._is_stock(filled)
        self._rotary = None if stock else self._frequencies_of(filled, inputs)
        if stock:
            shapes = [(1, *self._grid), *[(1, *self._grid_of(slot)) for slot, _ in filled]]
        else:
            self._layers.install("pos_embed", self._replace_rotary)
            target = self._grid if inputs.keep is None else _as_grid(inputs.target.shape[1])
            shapes = [(1, *target), *_counted(layout.length - layout.target.stop)]
        hidden = inputs.target
        if filled:
            hidden = self._joiner.join(inputs.target, [tokens for _, tokens in filled])
        self._check_divides(inputs.text.embeds.shape[1], hidden.shape[1])
        return hidden, shapes

    @property
    def attention_kwargs(self) -> dict[str, bool]:
        """What tells the run's processors its own passes; they need nothing where they are off."""
        return {} if self._processors is None else {"refhooks": True}

    def rest(self) -> None:
        """Act no more until the next pass: this one is over."""
        self._layers.rest()

    def recorded(self) -> Tensor:
        """Return the attention shares of the last forward pass, ``[blocks,1+references,B]``."""
        assert self._processors is not None  # noqa: S101  put on by prepare
        return self._processors.recorded(len(self._grids))

    def remove(self) -> None:
        """Take everything off."""
        self._layers.remove()
        self._joiner.clear()
        self._limit.close()
        if self._processors is not None:
            self._processors.remove()

    def _grid_of(self, slot: int) -> Grid:
        grid = self._grids[slot]
        assert grid is not None  # noqa: S101  the core lets nothing fill the slot of such a one
        return grid

    def _check_divides(self, text: int, image: int) -> None:
        if text % self._processes or image % self._processes:
            raise InputError(
                f"the transformer runs in parallel over {self._processes} processes, which cannot"
                f" share {text} tokens of text and {image} of pictures evenly; change the prompt,"
                " the size or the mask, or use ContextParallelConfig(ulysses_anything=True)"
            )

    def _is_stock(self, filled: Filled) -> bool:
        """Whether the stock forward gives every token and the text their right positions."""
        if any(tokens.keep is not None or tokens.positions != "native" for _, tokens in filled):
            return False
        slots = [slot for slot, _ in filled]
        grids = (self._grid, *[self._grid_of(slot) for slot in slots])
        reach = max(map(_positions.reach, grids))
        return slots == list(range(len(slots))) and reach == self._reach

    def _frequencies_of(self, filled: Filled, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Computed once for each of the last layouts; what a key names is kept alive beside it."""
        length = inputs.text.embeds.shape[1]
        kept = [inputs.keep, *[tokens.keep for _, tokens in filled]]
        reach = _positions.reach(self._grid) if inputs.text_start == "target" else self._reach
        key = (
            length,
            id(inputs.keep),
            inputs.center,
            reach,
            *[(slot, id(tokens.keep), tokens.positions) for slot, tokens in filled],
        )
        if key not in self._frequencies:
            if len(self._frequencies) >= _LAYOUTS:
                self._frequencies.clear()
            grids = [self._grid, *[(1, 1) if grid is None else grid for grid in self._grids]]
            frequencies = _positions.frequencies(
                self._transformer.pos_embed,
                grids,
                filled,
                reach,
                length,
                inputs.target.device,
                inputs.keep,
                inputs.center,
            )
            self._frequencies[key] = (kept, frequencies)
        return self._frequencies[key][1]

    def _replace_rotary(self, module: Any, _args: Any, _output: Any) -> Any:
        if self._rotary is None:
            return None
        parallel = _parallel_hook(module)
        return self._rotary if parallel is None else parallel.post_forward(module, self._rotary)


def _even_processes(transformer: Any) -> int:
    """How many processes share text and pictures in equal parts under context parallelism, or 1."""
    parallel = getattr(transformer, "_parallel_config", None)
    context = None if parallel is None else parallel.context_parallel_config
    if context is None or context.ulysses_anything or context.ring_anything:
        return 1
    return int(context.ring_degree * context.ulysses_degree)


def _parallel_hook(embedding: Any) -> Any:
    """What gives each process its part of the positions under context parallelism, or ``None``."""
    registry = getattr(embedding, "_diffusers_hook", None)
    return None if registry is None else registry.get_hook("cp_input---pos_embed")


def _is_native(inputs: Inputs) -> bool:
    """Whether nothing but its references may ask for other positions."""
    return inputs.keep is None and inputs.center == inputs.text_start == "native"


def _filled(inputs: Inputs) -> Filled:
    return [(slot, tokens) for slot, tokens in enumerate(inputs.slots) if tokens is not None]


def _as_grid(tokens: int) -> Grid:
    """A grid of so many tokens: the stock model counts the target by one shape.

    Raises:
        HookReturnError: They are too many for a row, and no sides give them.
    """
    for rows in range(-(-tokens // _ROW), _ROW + 1):
        if tokens % rows == 0:
            return rows, tokens // rows
    raise HookReturnError(
        f"keep names {tokens} tokens of the target, which the model cannot count: it is more than"
        f" {_ROW} and has no divisor up to that; give a multiple of 16"
    )


def _counted(tokens: int) -> list[Shape]:
    """Shapes that hold so many tokens in all, each short enough for the stock embedding."""
    rows = [(1, 1, _ROW)] * (tokens // _ROW)
    return [*rows, (1, 1, tokens % _ROW)] if tokens % _ROW else rows

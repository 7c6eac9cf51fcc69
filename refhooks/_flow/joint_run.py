"""A run whose references stand after the target in one sequence, at every step."""

from __future__ import annotations

import abc
import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from refhooks._attending.joining import Joiner
from refhooks._attending.layer_hooks import LayerHooks, is_compiled
from refhooks._attending.step_caches import StepCaches
from refhooks._flow.places import POSITIONS, Places
from refhooks._flow.run import FlowRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._attending.processors import Processors
    from refhooks._core.contract.values import Branch, Context, GroupEdit, Inputs

__all__ = ["JointRun"]

_GRAPHS = 64  # of a compiled block


class JointRun(FlowRun):
    """One run on a model of position ids: text, target, then the references at every step.

    An adapter adds :meth:`make_places`, :meth:`make_processors`, :meth:`forward` and ``encode``.

    Attributes:
        places: Position ids of the run.
        joiner: Joins target and references.
        layers: Hooks of the run on the transformer's layers.
        processors: Those of attention, where it is edited or recorded.
        record: Whether attention shares are recorded.
        tail: Whether the target's tokens are the last that enter the transformer.
    """

    tail: ClassVar[bool] = False

    def __init__(self, family: Any, **options: Any) -> None:
        super().__init__(family, **options)
        transformer = self.pipe.transformer
        self.places = self.make_places()
        self.joiner = Joiner()
        self.layers = LayerHooks(transformer, family.input_projection, tail=self.tail)
        self.positions = POSITIONS
        self.processors: Processors | None = None
        self.record = False
        self._caches = StepCaches(transformer)
        self._limit = contextlib.ExitStack()
        self._shares: list[Tensor] = []

    @abc.abstractmethod
    def make_places(self) -> Places:
        """Return the position ids of the run; prompts and grids are there."""

    @abc.abstractmethod
    def make_processors(self, *, record: bool) -> Processors:
        """Return the attention processors of the run.

        Raises:
            InputError: The model's attention is not the stock one, or runs in parallel.
        """

    @abc.abstractmethod
    def forward(
        self, ctx: Context, branch: Branch, inputs: Inputs, hidden: Tensor, ids: Tensor
    ) -> tuple[Any, ...]:
        """Call the transformer as the stock pipeline does; its velocity is the first it returns.

        Args:
            ctx: Of the step.
            branch: Of the pass.
            inputs: Likewise.
            hidden: Tokens of the pictures, ``[B,L-S,C]``.
            ids: Their position ids, ``[L-S,axes]``.
        """

    def prepare(self, *, attention: bool, record: bool) -> None:
        """Put on what holds for the whole run, and let compiled blocks have their graphs.

        Raises:
            InputError: The model's attention is not the stock one, or runs in parallel; or it has
                a step cache that this run cannot do with.
        """
        import torch  # noqa: PLC0415  plugins load without it

        self._caches.check(self.branches, record=record)
        transformer = self.pipe.transformer
        single = getattr(transformer, "single_transformer_blocks", ())
        if any(map(is_compiled, (*transformer.transformer_blocks, *single))):
            self._limit.enter_context(torch._dynamo.config.patch(recompile_limit=_GRAPHS))
        self.record = record
        if attention or record:
            self.processors = self.make_processors(record=record)
            self.processors.install()

    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Run the transformer on target and filled slots, and return the target's part."""
        import torch  # noqa: PLC0415  plugins load without it

        layout = self.layout(inputs)
        filled = [(slot, it) for slot, it in enumerate(inputs.slots) if it is not None]
        if self.processors is not None:
            self.processors.plan(layout, edits, self.device)
        self._caches.follow(ctx, branch, layout, inputs, edits)
        hidden, ids = inputs.target, self.places.of_target(inputs.keep)
        if filled:
            hidden = self.joiner.join(hidden, [tokens for _, tokens in filled])
            ids = torch.cat([ids, self.places.of(filled)])
        self.layers.use(inputs)
        velocity: Tensor = self.forward(ctx, branch, inputs, hidden, ids)[0]
        self.layers.rest()
        self.note(branch)
        return velocity[:, : inputs.target.shape[1]]

    def note(self, branch: Branch) -> None:
        """Keep the attention shares of a pass, if they are recorded."""
        if self.record and branch.name == "cond":
            assert self.processors is not None  # noqa: S101  put on by prepare
            self._shares.append(self.processors.recorded(len(self.grids)))

    def recorded(self) -> Tensor | None:
        """Return the attention shares of every step, ``[N,blocks,1+references,B]``."""
        import torch  # noqa: PLC0415  plugins load without it

        return torch.stack(self._shares) if self._shares else None

    def close(self) -> None:
        """Take the hooks off, empty step caches, let an offloaded pipeline go back to rest."""
        self.layers.remove()
        self.joiner.clear()
        self._caches.close()
        self._limit.close()
        if self.processors is not None:
            self.processors.remove()
        super().close()

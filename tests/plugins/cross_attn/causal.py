"""A family on which reuse is exact: references attend to themselves alone, and stand at t = 0."""

from __future__ import annotations

from typing import ClassVar

import attrs
import torch

from refhooks.attention import GroupEdit
from refhooks_qwen._family import QwenImageEditPlus
from refhooks_qwen._run import QwenRun


class CausalRun(QwenRun):
    """Hides from every reference's queries all keys but its own."""

    def prepare(self, *, attention, record):
        super().prepare(attention=True, record=record)

    def predict(self, ctx, branch, inputs, edits):
        layout = self.layout(inputs)
        held = {edit.group: edit for edit in edits}
        filled = {slot: own for slot, own in enumerate(layout.slots) if own is not None}
        made = []
        for group in dict.fromkeys(["base", *filled, *held]):
            weight = torch.ones(1, layout.length)
            for slot, own in filled.items():
                if slot != group:
                    weight[:, own] = 0.0
            edit = held.get(group) or GroupEdit(group, None, None, False, (), None)
            weight = weight if edit.weight is None else weight * edit.weight
            made.append(attrs.evolve(edit, weight=weight))
        return super().predict(ctx, branch, inputs, made)


class CausalFamily(QwenImageEditPlus):
    """For a pipeline whose transformer has ``zero_cond_t``."""

    reuse_exact: ClassVar[bool] = True

    def open(self, **arguments):
        run = super().open(**arguments)
        run.__class__ = CausalRun
        return run

"""What is scored: cells, each one way to edit, and what holds for all of them."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import attrs
from attrs import validators

from refhooks._apps.grids.fingerprint import KEY_LENGTH, described
from refhooks._base.numbers import is_list, whole
from refhooks._base.shown import shown
from refhooks._core.planning.bounds import (
    MAX_SEED,
    read_cfg,
    read_denoise,
    read_seed,
    read_steps,
    read_strength,
)
from refhooks._core.planning.request import read_plugins
from refhooks._core.planning.strategy import as_strategy
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._core.contract.methods import Method
    from refhooks._core.planning.strategy import Stage, Strategy

    Steering = Strategy | Stage | Method | str | None

CONSTANT = "constant"
ADDRESS = " at 0x"  # in the ``repr`` of what has no value of its own


def _name(_cell: object, _field: object, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"a cell's name must be a text, got {shown(value)}")


def _denoise(value: Any) -> float:
    return read_denoise(value, "a cell's")


def _steps(value: Any) -> int | None:
    return None if value is None else read_steps(value)


def _cfg(value: Any) -> float | None:
    return None if value is None else read_cfg(value)


def _seed(value: Any) -> int:
    return read_seed(value, high=MAX_SEED // 2)


def _batch(value: Any) -> int:
    return whole(value, "batch", 1, 4096)


def _strength(value: Any) -> float | None:
    return None if value is None else read_strength(value, "a cell's")


def _kinds(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    kinds = (value,) if isinstance(value, str) else tuple(value) if is_list(value) else ()
    if not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise InputError(f"a cell's kinds must be a list of names, got {shown(value)}")
    return kinds


@attrs.frozen
class Settings:
    """What holds for all cells that say nothing else.

    Attributes:
        steps: ``None``: the model's own number.
        cfg: Guidance scale; ``None``: the model's own.
        seed: Added to the seed of every pair.
        batch: How many pairs are edited at once, at most.
    """

    steps: int | None = attrs.field(default=None, converter=_steps)
    cfg: float | None = attrs.field(default=None, converter=_cfg)
    seed: int = attrs.field(default=0, converter=_seed)
    batch: int = attrs.field(default=25, converter=_batch)


@attrs.frozen
class Cell:
    """One way to edit.

    Attributes:
        name: Unique among the cells that are scored together.
        strategy: How the source steers: anything that ``Editor.edit`` takes; ``None``: the family's
            native method at 1.
        others: How a pair's other references steer, likewise.
        denoise: As for ``Editor.edit``.
        plugins: As for ``Editor.edit``.
        steps: ``None``: as the settings say.
        cfg: Likewise.
        seed: Added to the seed of every pair, besides that of the settings.
        attention: Whether the attention share is recorded, which takes time.
        kinds: The kinds of edit that it is run on; ``None``: all.
        method: What curves and tables call its method; a label, as the next two.
        strength: Where it stands on a curve over strength, if it does.
        schedule: What happens to the strength over a run.
    """

    name: str = attrs.field(validator=_name)
    strategy: Steering = None
    others: Steering = attrs.field(default=None, kw_only=True)
    denoise: float = attrs.field(default=1.0, kw_only=True, converter=_denoise)
    plugins: tuple[object, ...] = attrs.field(default=(), kw_only=True, converter=read_plugins)
    steps: int | None = attrs.field(default=None, kw_only=True, converter=_steps)
    cfg: float | None = attrs.field(default=None, kw_only=True, converter=_cfg)
    seed: int = attrs.field(default=0, kw_only=True, converter=_seed)
    attention: bool = attrs.field(
        default=False, kw_only=True, validator=validators.instance_of(bool)
    )
    kinds: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=_kinds)
    method: str = attrs.field(default="", kw_only=True)
    strength: float | None = attrs.field(default=None, kw_only=True, converter=_strength)
    schedule: str = attrs.field(default=CONSTANT, kw_only=True)

    def within(self, settings: Settings, steps: int, cfg: float) -> Cell:
        """Return the same with what the settings, and after them a model, say where it is silent.

        Args:
            settings: Of the run.
            steps: The model's own.
            cfg: The model's own.
        """
        return attrs.evolve(
            self,
            steps=self.steps or settings.steps or steps,
            cfg=next(it for it in (self.cfg, settings.cfg, cfg) if it is not None),
            seed=self.seed + settings.seed,
        )

    def key(self, native: str) -> str:
        """Return what depends on everything that its pictures do, and on no label.

        A function has no name that lasts, so a cell with one has another key each time.

        Args:
            native: The method that ``None`` means.
        """
        ways = [as_strategy(steering, native) for steering in (self.strategy, self.others)]
        rest = [self.denoise, self.plugins, self.steps, self.cfg, self.seed, self.attention]
        said = repr([described(ways), described(rest)])
        return digest([said, secrets.token_hex() if ADDRESS in said else ""])


def digest(parts: Any) -> str:
    """Return a short hash of what has a ``repr`` that says all of it."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:KEY_LENGTH]


@attrs.frozen
class Progress:
    """How far a run is.

    Attributes:
        done: Steps of edits that are done, one a picture and step.
        total: Of all that was missing from the store when the run began.
        cell: The name of the cell that was just edited.
        of_cell: Whether it was; ``False``: pairs were edited without a reference for it.
    """

    done: int
    total: int
    cell: str
    of_cell: bool = True

"""What plugins register besides classes: commands, families and embedded models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._core.contract.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import click

    from refhooks._core.contract.family import Family
    from refhooks._core.contract.model_shape import ModelShape

__all__ = ["CommandEntry", "EmbeddedModel", "FamilyEntry"]


@attrs.frozen
class CommandEntry:
    """A command as a plugin registers it, before anything of it is imported.

    Attributes:
        name: Unique name, what follows ``refhooks`` on the command line.
        summary: One line for ``refhooks --help``.
        load: Imports and returns the command.
    """

    name: str
    summary: str
    load: Callable[[], click.Command]


@attrs.frozen
class FamilyEntry:
    """A family as a plugin registers it, before anything of it is imported.

    Attributes:
        name: Unique name, such as ``qwen-image-edit-plus``.
        pipelines: Names of the diffusers pipeline classes it adapts.
        load: Imports and returns the adapter class.
        shape: Given the configuration of a transformer, the contents of its ``config.json``,
            returns its size; given ``None``, that of the family's full-size model at the size of
            pictures it was made for. ``None``: nothing is known of it, so no cost can be planned.
        tiny: Makes a small pipeline with random weights, without a network, that edits pictures of
            32x32 pixels: what ``refhooks check`` tries the adapter on. ``None``: it cannot.
        usual: Whether a cost is planned for its full-size model where no model is named.
        modular: Names of modular pipeline classes, and of the class or function that makes a
            pipeline of their components, as ``diffusers:QwenImage21Pipeline``.
    """

    name: str
    pipelines: tuple[str, ...]
    load: Callable[[], type[Family]]
    shape: Callable[[Mapping[str, Any] | None], ModelShape] | None = None
    tiny: Callable[[], Any] | None = None
    usual: bool = False
    modular: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class EmbeddedModel:
    """A model that a plugin brings along, for ``Editor.from_pretrained(name)``.

    Attributes:
        name: Unique name, such as ``toy``.
        description: One line for listings.
        load: Loads and returns the pipeline, without a network.
        checkpoint: What it prescribes.
        samples: Returns the paths of pictures that it edits well, the best one first; none by
            default. ``refhooks demo`` edits the first.
        companions: Returns the paths of pictures that go with the first sample, such as second
            references and masks, by the names under which ``refhooks demo`` writes them beside it;
            none by default.
        prompts: Prompts that it follows well on the first sample, the best one first.
        pairs: Given how many of each kind of edit, returns pairs that it was not trained on, with
            their right answers, for ``refhooks score``; ``None``: it has none.
        faster: Given the pipeline, returns a context in which many edits take less time, at the
            cost of rounding; ``refhooks score`` runs in it.
    """

    name: str
    description: str
    load: Callable[[], Any]
    checkpoint: Checkpoint = Checkpoint()  # noqa: RUF009  frozen
    samples: Callable[[], Sequence[Path]] = tuple
    companions: Callable[[], Mapping[str, Path]] = dict
    prompts: tuple[str, ...] = ()
    pairs: Callable[[int], Sequence[object]] | None = None
    faster: Callable[[Any], AbstractContextManager[object]] | None = None

"""A recipe: everything needed to run an edit again, as values that JSON can hold."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003  cattrs reads the annotations
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
from attrs import validators

from refhooks._apps.recipes.parts import (
    RecipeFile,
    RecipeModel,
    RecipePicture,
    RecipeReference,
    is_name,
)
from refhooks._base.notebooks import html_facts, html_table
from refhooks._base.shown import shown
from refhooks._base.strict import strict_converter
from refhooks._base.tables import MAX_BYTES, parse_json
from refhooks._core.planning.bounds import MAX_CFG, MAX_DENOISE, MAX_SEED, MAX_STEPS
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._core.models.loaded import LoadedModel

__all__ = ["Recipe"]

FORMAT = 2
FORMATS = (1, 2)  # that are read: 1 says nothing of LoRAs' scales, the scheduler and the attention
MAX_REFERENCES = 64
MAX_FILES = 1024
MAX_PICTURES = 4096
MAX_PIXELS = 128 * 10**6
MAX_RATIO = 64


def _within(low: float, high: float) -> Any:
    return validators.and_(validators.ge(low), validators.le(high))


def _at_most(count: int) -> Any:
    return validators.max_len(count)


@attrs.frozen
class Recipe:
    """Everything needed to run an edit again; :meth:`refhooks.Editor.replay` does.

    Attributes:
        prompts: Those of the batch that the picture was made in.
        negative: As many.
        seeds: One for each picture of each prompt.
        picture: Number of the picture in the batch, from 0, prompts outermost.
        references: In the order of the call.
        source: The picture being edited, where it is not that of the first reference.
        steps: Number of denoising steps.
        denoise: As in the call.
        cfg: Guidance scale; the largest, where they differ over the steps.
        cfg_steps: Scales over the steps, as in the call; ``None``: one for all.
        height: Of the output, pixels.
        width: Likewise.
        native: Whether that is the source's own, by ``resolution="native"``.
        vision_resolution: As in the call.
        align: Likewise.
        edit_mask: As a ``[[mask]]`` of a strategy file, or ``None``.
        compute: How much of a local edit was computed: the options of an ``Inside``; ``None``: all.
        cache: The step cache that was put on for it, as in the call; ``None``: none was.
        plugins: Run plugins with their options.
        strengths: Of each reference at each step, where they were set while the edit ran: what a
            replay, which measures again, comes to as well; else empty.
        files: What masks, methods and plugins read.
        model: What was run.
        versions: Of everything that takes part in the numbers, by distribution, and of the contract
            with plugins (``hookspec``).
        used: Plugins that took part, with distribution and version.
        job: Digest of the job of ``refhooks batch`` that it was made for; empty: of none.
        pixels: ``sha256`` of the picture that was made, as of a reference's.
        notes: What was done that a replay does otherwise.
        lost: Why it cannot be replayed; empty: it can.
        format: Version of this form.
    """

    prompts: tuple[str, ...] = attrs.field(validator=_at_most(MAX_PICTURES))
    negative: tuple[str, ...] = attrs.field(validator=_at_most(MAX_PICTURES))
    seeds: tuple[int, ...] = attrs.field(validator=_at_most(MAX_PICTURES))
    picture: int
    references: tuple[RecipeReference, ...] = attrs.field(validator=_at_most(MAX_REFERENCES))
    steps: int = attrs.field(validator=_within(1, MAX_STEPS))
    denoise: float = attrs.field(validator=_within(0, MAX_DENOISE))
    cfg: float = attrs.field(validator=_within(0, MAX_CFG))
    height: int = attrs.field(validator=_within(1, 2**16))
    width: int = attrs.field(validator=_within(1, 2**16))
    cfg_steps: str | None = None
    native: bool = False
    vision_resolution: int | None = None
    align: bool = False
    source: RecipePicture | None = None
    edit_mask: dict[str, Any] | None = None
    compute: dict[str, int | None] | None = None
    cache: str | None = None
    plugins: tuple[dict[str, Any], ...] = attrs.field(default=(), validator=_at_most(MAX_FILES))
    strengths: tuple[tuple[float, ...], ...] = attrs.field(
        default=(), validator=_at_most(MAX_REFERENCES)
    )
    files: tuple[RecipeFile, ...] = attrs.field(default=(), validator=_at_most(MAX_FILES))
    model: RecipeModel = RecipeModel()  # noqa: RUF009  frozen
    versions: dict[str, str] = attrs.field(factory=dict)
    used: dict[str, str] = attrs.field(factory=dict)
    job: str = ""
    pixels: str = ""
    notes: tuple[str, ...] = attrs.field(default=(), validator=_at_most(MAX_FILES))
    lost: tuple[str, ...] = attrs.field(default=(), validator=_at_most(MAX_FILES))
    format: int = FORMAT
    folder: Path | None = attrs.field(default=None, eq=False, repr=False)
    embedded: dict[str, bytes] = attrs.field(factory=dict, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a batch that does not fit together."""
        batch = min(self.count, MAX_PICTURES)
        if len(self.negative) != len(self.prompts) or not 0 <= self.picture < batch:
            raise ValueError(f"there is no picture {self.picture} of {self.count}")
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"{self.width}x{self.height} are more than {MAX_PIXELS} pixels")
        if max(self.height, self.width) > MAX_RATIO * min(self.height, self.width):
            raise ValueError(
                f"{self.width}x{self.height}: a side may be {MAX_RATIO} times the other"
            )
        if any(not 0 <= seed <= MAX_SEED for seed in self.seeds):
            raise ValueError(f"a seed must be from 0 to {MAX_SEED}")

    @property
    def count(self) -> int:
        """How many pictures the batch had that this one was made in."""
        return len(self.prompts) * len(self.seeds)

    @property
    def prompt(self) -> str:
        """The prompt of this picture."""
        return self.prompts[self.picture // len(self.seeds)]

    @property
    def seed(self) -> int:
        """The seed of this picture."""
        return self.seeds[self.picture % len(self.seeds)]

    @property
    def pictures(self) -> tuple[RecipePicture, ...]:
        """Every picture that the edit was given, the source last if it is none of the others."""
        pictures = tuple(reference.picture for reference in self.references)
        return pictures if self.source is None else (*pictures, self.source)

    def _repr_html_(self) -> str:
        """What a notebook shows: the edit's own numbers, then a line a reference."""
        plugins = ", ".join(str(plugin.get("name", plugin)) for plugin in self.plugins)
        facts = {
            "prompt": self.prompt,
            "seed": self.seed,
            "steps": self.steps,
            "cfg": self.cfg if self.cfg_steps is None else self.cfg_steps,
            "denoise": self.denoise,
            "size": f"{self.width}x{self.height}",
            "plugins": plugins,
            "edit mask": self.edit_mask,
            "model": self.model.name,
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            "cannot be replayed": "; ".join(self.lost),
        }
        rows = [
            (number, it.picture.name or "a picture in memory", it.strategy)
            for number, it in enumerate(self.references, 1)
        ]
        return html_facts(facts) + html_table(("reference", "picture", "strategy"), rows)

    def naming(self, names: dict[str, str]) -> Recipe:
        """Return the same with names, by hash, for pictures that have none."""

        def named(picture: RecipePicture) -> RecipePicture:
            name = picture.name or names.get(picture.sha256, "")
            return attrs.evolve(picture, name=name if is_name(name) else "")

        references = tuple(
            attrs.evolve(entry, picture=named(entry.picture)) for entry in self.references
        )
        source = None if self.source is None else named(self.source)
        return attrs.evolve(self, references=references, source=source)

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold, the seed and prompt of this picture first."""
        table = {key: value for key, value in _plain.unstructure(self).items() if key not in _HELD}
        return {"prompt": self.prompt, "seed": self.seed, **table}

    def to_json(self, indent: int | None = None) -> str:
        """Return it as JSON, in ASCII."""
        return json.dumps(self.as_dict(), indent=indent, allow_nan=False)

    def differences(self, editor: LoadedModel) -> tuple[str, ...]:
        """Return what is not as it was when the picture was made: model, device, versions."""
        from refhooks._apps.recipes.provenance import differences  # noqa: PLC0415  imports torch, a second

        return (*differences(self.model, self.versions, self.used, editor), *self.notes)


_HELD = ("folder", "embedded")
_plain = cattrs.Converter()
_strict = strict_converter()


_UNFIT = (
    ArithmeticError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    cattrs.ForbiddenExtraKeysError,
)


def _structured(data: dict[str, Any]) -> Recipe:
    for key in _HELD:
        if key in data:
            raise ValueError(f"unknown key {key!r}")
    return _strict.structure(data, Recipe)


def parse_recipe(text: bytes, label: str) -> Recipe:
    """Return the recipe that a text holds.

    Raises:
        InputError: It is larger than 1 MiB, nested too deep, no JSON, or no recipe.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{label}: the recipe is larger than 1 MiB")
    data = parse_json(text, f"{label}: the recipe")
    if data.get("format") not in FORMATS or isinstance(data["format"], bool):
        raise InputError(
            f"{label}: the recipe has the format {shown(data.get('format'))}, and this version of"
            f" refhooks reads {FORMATS[0]} to {FORMATS[-1]}"
        )
    own = {key: value for key, value in data.items() if key not in {"prompt", "seed"}}
    try:
        recipe = _structured(own)
    except _UNFIT as error:
        reason = error.args[0] if error.args else type(error).__name__
        raise InputError(f"{label}: that is no recipe: {reason!s:.300}") from error
    if (data.get("prompt"), data.get("seed")) != (recipe.prompt, recipe.seed):
        raise InputError(f"{label}: that is no recipe: its prompt or seed is not its picture's")
    return recipe

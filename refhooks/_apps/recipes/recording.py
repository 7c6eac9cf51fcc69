"""Making the recipe of an edit that ran, and telling what has changed since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.files.writer import NotPlainError
from refhooks._apps.recipes.parts import RecipePicture, RecipeReference
from refhooks._apps.recipes.provenance import model_of, versions
from refhooks._apps.recipes.recipe import Recipe
from refhooks._apps.recipes.tables import RecipeWriter, known_name, name_of, rgb_hash
from refhooks._base.advice import warn_user
from refhooks._core.contract.methods import RunPlugin
from refhooks._core.planning.factories import as_mask
from refhooks._core.planning.input_pictures import HandedOn
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan, PlannedReference
    from refhooks._core.planning.input_pictures import InputPicture
    from refhooks._core.planning.request import Request
    from refhooks._core.planning.strategy import Strategy
    from refhooks._core.planning.timetable import Timetable

_CHUNK = 2**20


@attrs.frozen(eq=False)
class Materials:
    """The pictures that a recipe names, for ``save(embed=True)``.

    Attributes:
        pictures: Paths or pictures by their hashes, and whether they are a mask's.
        sources: The pictures that were edited, as they were given: one for all, or one a picture.
        saved: Names under which pictures of the edit were saved, by their numbers.
        keep: What must live as long.
    """

    pictures: dict[str, tuple[Path | Image.Image, bool]] = attrs.field(factory=dict)
    sources: list[Path | Image.Image] = attrs.field(factory=list)
    saved: dict[int, str] = attrs.field(factory=dict)
    keep: Any = None


def _file_of(source: Any) -> Path | Image.Image:
    """The file of a picture that was read here; one that the caller opened says all itself."""
    read = getattr(source, "filename", "") if type(source).__name__ == "Image" else ""
    place = read or source
    return Path(place).absolute() if isinstance(place, str | Path) else source


def make_recipes(
    editor: LoadedModel,
    request: Request,
    plan: Plan,
    images: Sequence[Image.Image],
    timetable: Timetable,
    lost: Sequence[str] = (),
) -> tuple[tuple[Recipe, ...], Materials]:
    """Return the recipe of each picture of an edit, and what they name.

    Args:
        editor: It ran the edit.
        request: What was asked.
        plan: What was planned.
        images: What came of it.
        timetable: What was done.
        lost: Why it cannot be replayed, as far as the run knows.

    No edit is lost for its recipe: whatever fails here becomes a warning.
    """
    try:
        return _Maker(editor, request, plan, lost, timetable).recipes(images)
    except Exception as error:  # noqa: BLE001  strangers' values are asked here
        warn_user(f"this edit has no recipe: {error}")
        return (), Materials()


def _given(opened: InputPicture, place: int) -> Image.Image:
    """The picture of a job with its profile, so that a replay knows its colours."""
    seen, own = opened.of_job(place)
    return seen if own is None else own


class _Maker:
    def __init__(
        self,
        editor: LoadedModel,
        request: Request,
        plan: Plan,
        lost: Sequence[str],
        timetable: Timetable,
    ) -> None:
        self._editor = editor
        self._request = request
        self._plan = plan
        self._writer = RecipeWriter(editor.registry, Path(), plan.timetable, plan)
        self._materials = Materials()
        self._lost = [*lost]
        steered = bool(timetable.steered)
        count = len(request.references) if steered else 0
        self._strengths = tuple(timetable.strengths(number) for number in range(count))

    def recipes(self, images: Sequence[Image.Image]) -> tuple[tuple[Recipe, ...], Materials]:
        batch = self._batch()
        recipes = []
        for place, image in enumerate(images):
            own = self._alone(batch, place) if self._request.paired else batch
            number = 0 if self._request.paired else place
            recipes.append(attrs.evolve(own, picture=number, pixels=rgb_hash(image)))
        self._materials.pictures.update(self._writer.pictures)
        self._materials.sources.extend(self._sources())
        return tuple(recipes), self._materials

    def _batch(self) -> Recipe:
        request, plan = self._request, self._plan
        references = self._references()
        edit_mask, plugins = self._edit_mask(), self._plugins()
        family = self._editor.family
        self._writer.use("family", family.name)
        source = plan.source if self._has_source() else None
        return Recipe(
            prompts=request.prompts,
            negative=request.negative,
            seeds=request.seeds,
            picture=0,
            references=references,
            source=None if source is None else self._source(source),
            steps=len(plan.timetable.steps),
            denoise=request.denoise,
            cfg=plan.guidance.scale,
            cfg_steps=request.cfg if isinstance(request.cfg, str) else None,
            height=plan.exact.height,
            width=plan.exact.width,
            native=request.resolution == "native",
            vision_resolution=request.vision_resolution,
            align=request.align,
            edit_mask=edit_mask,
            compute=None if request.compute is None else attrs.asdict(request.compute),
            cache=None if request.cache is None else request.cache.text,
            plugins=plugins,
            strengths=self._strengths,
            files=tuple(self._writer.files.values()),
            model=model_of(self._editor),
            versions=versions(),
            used=self._writer.used,
            notes=self._notes(),
            lost=tuple(dict.fromkeys(self._lost)),
        )

    def _references(self) -> tuple[RecipeReference, ...]:
        pairs = zip(self._request.references, self._plan.references, strict=True)
        return tuple(
            [
                RecipeReference(
                    self._picture(reference.image, planned, 0),
                    self._strategy(planned.strategy, number),
                    reference.resolution,
                )
                for number, (reference, planned) in enumerate(pairs)
            ]
        )

    def _sources(self) -> list[Path | Image.Image]:
        """The pictures that were edited, with all that their files say beside the pixels."""
        request, opened = self._request, self._plan.source
        if opened is None:
            return []
        image = request.source if request.source is not None else request.references[0].image
        image = image.origin if isinstance(image, HandedOn) else image
        first = [] if image is None else [image]
        return [_file_of(it) for it in [*first, *opened.pictures[1:]]]

    def _has_source(self) -> bool:
        """Whether the picture being edited is not that of the first reference."""
        request = self._request
        return request.source is not None and request.source is not request.references[0].image

    def _source(self, source: InputPicture) -> RecipePicture:
        key, named = self._held(source, 0), self._request.source
        return RecipePicture(key, name_of(named), handed=isinstance(named, HandedOn))

    def _alone(self, batch: Recipe, place: int) -> Recipe:
        """That of one job of a batch of jobs, each with pictures of its own."""
        references = [
            attrs.evolve(reference, picture=self._picture(None, planned, place))
            if place
            else reference
            for reference, planned in zip(batch.references, self._plan.references, strict=True)
        ]
        return attrs.evolve(
            batch,
            prompts=batch.prompts[place : place + 1],
            negative=batch.negative[place : place + 1],
            seeds=batch.seeds[place : place + 1],
            references=tuple(references),
            notes=(*batch.notes, "it ran in a batch with other edits, and runs alone"),
        )

    def _picture(self, image: Any, planned: PlannedReference, place: int) -> RecipePicture:
        opened = planned.opened
        place = min(place, len(opened.pictures) - 1)
        file, picture = opened.files[place], opened.pictures[place]
        name = "" if file is None else known_name(file.name)
        handed = isinstance(image, HandedOn)
        key = self._held(opened, place)
        return RecipePicture(key, name or name_of(image) or name_of(picture), handed=handed)

    def _held(self, opened: InputPicture, place: int) -> str:
        """Note a picture, in its file if it is in one, and return its hash."""
        key, file = rgb_hash(opened.pictures[place]), opened.files[place]
        if file is not None:
            self._materials.pictures[key] = (file, False)
        self._materials.pictures.setdefault(key, (_given(opened, place), False))
        return key

    def _strategy(self, strategy: Strategy, number: int) -> dict[str, Any]:
        try:
            return self._writer.strategy(strategy, number)
        except RefhooksError as error:
            self._lost.append(str(error))
            return {}

    def _edit_mask(self) -> dict[str, Any] | None:
        if self._request.edit_mask is None:
            return None
        mask = as_mask(self._editor.registry, self._request.edit_mask, "edit_mask")
        self._writer.use("argument", "edit_mask")
        try:
            return self._writer.mask(mask)
        except RefhooksError as error:
            self._lost.append(str(error))
            return None

    def _plugins(self) -> tuple[dict[str, Any], ...]:
        tables = []
        if self._request.align:
            self._writer.use("argument", "align")
        for plugin, ran in self._writer.with_strengths(self._request.plugins):
            label = f"plugin {type(plugin).__name__} of the call"
            if not isinstance(plugin, RunPlugin):
                self._lost.append(f"{label} is an object of the caller's own, not a registered one")
                continue
            try:
                tables.append(self._writer.plugin(plugin, label, ran))
            except (RefhooksError, NotPlainError) as error:
                self._lost.append(str(error))
        return tuple(tables)

    def _notes(self) -> tuple[str, ...]:
        handed = [
            f"reference {number} was handed on as latents by the edit before"
            for number, reference in enumerate(self._request.references, 1)
            if isinstance(reference.image, HandedOn) and reference.image.latents is not None
        ]
        return tuple(handed)

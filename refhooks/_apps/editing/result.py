"""What an edit gives back."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Literal

import attrs

from refhooks._apps.editing.rescue import rescued
from refhooks._base.files import write_whole
from refhooks._base.forks import ForkLock
from refhooks._base.notebooks import html_pictures
from refhooks._base.outputs import EXTENSIONS, check_output, compression
from refhooks._base.shift import can_measure, check_measure
from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image
    from torch import Tensor

    from refhooks._apps.advice.advice import Advice
    from refhooks._apps.advice.baseline import Baseline
    from refhooks._apps.recipes.picture_files import Insides
    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._apps.recipes.recording import Materials
    from refhooks._base.shift import Shift
    from refhooks._core.contract.drift import Drift
    from refhooks._core.planning.timetable import Timetable

__all__ = ["EditResult"]

_writing = ForkLock()  # a picture and what lies beside it are of one edit


@attrs.frozen(eq=False)
class EditResult:
    """A finished edit.

    Attributes:
        images: The pictures, prompts outermost, then seeds; in sRGB, but in the source's own
            colours and with its profile where an edit mask kept some of one that has another.
        latents: The final latents ``[B,T,C]``.
        timetable: What every reference did at every step.
        seeds: The seed of each picture.
        attention_share: How much of the target's attention each group of keys got,
            ``[N,blocks,1+references]``, means over queries, heads and batch in the branch ``cond``:
            first text and target together, then each reference. ``None`` unless recorded.
        attention_shares: The same for each picture, ``[N,blocks,1+references,B]``; ``None`` also
            where the family cannot tell them apart.
        drift: How far reused keys and values had moved, each time they were stored anew; empty
            where none were reused or nothing was measured.
        retouched: Whether a plugin, such as an edit mask, could change the pictures after they were
            decoded: then ``latents`` do not hold what the pictures show.
        kept: Whether an edit mask put pixels of the source back: then JPEG and WEBP files are
            written so that these keep their colours.
        interrupted: Whether ``pipe._interrupt`` ended the run before its last step: the pictures
            are what the latents held then, as the stock pipeline's are, and their recipes say so.
        before: What the pictures are compared with; ``None`` without a source. A source that came
            from a file stays in it, and is read again when it is needed; one that was given as a
            picture is kept.
        recipes: What each picture was made from; empty where no recipe could be made.
        materials: The pictures that the recipes name, for ``save(embed=True)``.
    """

    images: tuple[Image.Image, ...] = attrs.field(repr=False)
    latents: Tensor = attrs.field(repr=False)
    timetable: Timetable = attrs.field(repr=False)
    seeds: tuple[int, ...]
    attention_share: Tensor | None = attrs.field(default=None, repr=False)
    attention_shares: Tensor | None = attrs.field(default=None, repr=False)
    drift: tuple[Drift, ...] = attrs.field(default=(), repr=False)
    retouched: bool = attrs.field(default=False, repr=False)
    kept: bool = attrs.field(default=False, repr=False)
    interrupted: bool = False
    before: Baseline | None = attrs.field(default=None, repr=False)
    recipes: tuple[Recipe, ...] = attrs.field(default=(), repr=False)
    materials: Materials | None = attrs.field(default=None, repr=False)

    @property
    def image(self) -> Image.Image:
        """The first picture."""
        return self.images[0]

    @property
    def seed(self) -> int:
        """The seed of the first picture; give it to ``edit(seed=...)`` to have it again."""
        return self.seeds[0]

    @property
    def recipe(self) -> Recipe | None:
        """What the first picture was made from; it travels inside of the file."""
        return self.recipes[0] if self.recipes else None

    @property
    def advice(self) -> Advice:
        """What changed in the first picture, and which common problems it has.

        Raises:
            InputError: There is no source to compare it with.
        """
        return self.advise()

    def advise(self, number: int = 0) -> Advice:
        """Return the advice on a picture, counted from 0; raises as :attr:`advice`."""
        from refhooks._apps.advice.advice import advise  # noqa: PLC0415  measures with torch, a second

        before = self._before(number)
        return advise(
            before.source(number),
            self._seen(number),
            inside=before.inside(),
            timetable=self.timetable,
            attention_share=self._attention_share(number),
            shift=self.shift(number) if can_measure() else None,
            limit=before.limit,
        )

    def shift(self, number: int = 0) -> Shift:
        """Measure how a picture, counted from 0, lies over its source: moved, and scaled.

        Needs the extra ``measure``. A picture that has too little of the source left gets a
        :class:`Shift` that says so, and no numbers.

        Raises:
            InputError: scikit-image is not installed, or there is no source to compare it with, or
                its file has changed.
        """
        from refhooks._base.shifts import measure_shift  # noqa: PLC0415  imports numpy

        check_measure()
        return measure_shift(self._before(number).picture(number), self.images[number])

    def compare(self, number: int = 0) -> Image.Image:
        """Return a sheet of the source, a picture (counted from 0) and their difference.

        Raises:
            InputError: There is no source to compare it with, or no such picture.
        """
        from refhooks._apps.advice.report import compare_pictures  # noqa: PLC0415  imports torch, a second

        source = self._before(number).source(number)
        return compare_pictures(source, self._seen(number), f"result, seed {self.seeds[number]}")

    def plot_attention(self, path: str | Path) -> Path:
        """Draw the attention share of each reference over the steps, and for each block.

        Args:
            path: Ends in .png.

        Returns:
            The path written.

        Raises:
            InputError: It was not recorded (``edit(record_attention=True)``), there is no
                reference, matplotlib is not installed, or the file cannot be written.
        """
        from refhooks._apps.advice.plots import draw_attention  # noqa: PLC0415
        from refhooks._base.figures import write_plot  # noqa: PLC0415  matplotlib is an extra

        share = self.attention_share
        if share is None:
            raise InputError("no attention share was recorded; edit with record_attention=True")
        return write_plot(lambda: draw_attention(share), path)

    def plot_drift(self, path: str | Path) -> Path:
        """Draw how far reused keys and values had moved, each time they were stored anew.

        Args:
            path: Ends in .png.

        Returns:
            The path written.

        Raises:
            InputError: Nothing was reused and stored anew, matplotlib is not installed, or the file
                cannot be written.
        """
        from refhooks._apps.advice.plots import draw_drift  # noqa: PLC0415
        from refhooks._base.figures import write_plot  # noqa: PLC0415  matplotlib is an extra

        return write_plot(lambda: draw_drift(self.drift), path)

    def save_report(self, path: str | Path, number: int = 0) -> Path:
        """Write one HTML file with a picture, its source, the advice and the plots in it.

        Plots need matplotlib; without it the report says so.

        Args:
            path: Ends in .html.
            number: Of the picture, counted from 0.

        Returns:
            The path written.

        Raises:
            InputError: There is no source to compare it with, no such picture, or the file cannot
                be written.
        """
        from refhooks._apps.advice.report import Report, write_report  # noqa: PLC0415  imports torch, a second

        source = self._before(number).source(number)
        recipe = self.recipes[number] if self.recipes else None
        report = Report(
            title="An edit" if recipe is None else recipe.prompt,
            facts=(f"seed {self.seeds[number]}",),
            source=source,
            result=self._seen(number),
            advice=self.advise(number),
            timetable=self.timetable,
            attention_share=self._attention_share(number),
            drift=self.drift,
        )
        return write_report(report, path)

    def _seen(self, number: int) -> Image.Image:
        """A picture in sRGB, as the source is that it is compared with."""
        from refhooks._base.pictures import load_whole  # noqa: PLC0415  imports Pillow

        return load_whole(self.images[number])

    def _attention_share(self, number: int) -> Tensor | None:
        """That of one picture, ``[N,blocks,1+references]``."""
        shares = self.attention_shares
        return self.attention_share if shares is None else shares[..., number]

    def _before(self, number: int) -> Baseline:
        if self.before is None:
            raise InputError("the edit had no source picture, so there is nothing to compare with")
        if not 0 <= number < len(self.images):
            raise InputError(f"pictures are 0 to {len(self.images) - 1}; there is no {number}")
        return self.before

    def save(
        self,
        path: str | Path,
        *,
        recipe: bool = True,
        embed: bool = False,
        metadata: Literal["drop", "keep"] = "drop",
    ) -> tuple[Path, ...]:
        """Save the pictures: one at ``path``, several at ``path-1`` and so on.

        A file that is there is replaced only once the new one is complete.

        A PNG or WEBP holds what an edit mask kept exactly; a JPEG holds it approximately.

        Args:
            path: Ends in .png, .jpg, .jpeg or .webp.
            recipe: Whether each file carries what its picture was made from.
            embed: Whether a PNG carries the pictures that the edit was given as well: references
                and masks. Another format gets them in a JSON file beside it.
            metadata: ``drop``: nothing that the source's file says beside its pixels goes on, such
                as where a photo was taken. ``keep``: its text, EXIF (upright, at the new size,
                without the thumbnail) and XMP do, as far as the format holds them; a warning says
                what it does not hold.

        Returns:
            The paths written.

        Raises:
            InputError: Another ending, a folder that is missing or cannot be written, or metadata
                of a source that is not there, has changed since, or was none. Where only the
                writing itself fails, as on a disk that is full by now, the pictures are put into a
                new temporary folder, which the message names.
        """
        if metadata not in ("drop", "keep"):
            raise InputError(f"metadata must be 'drop' or 'keep', got {metadata!r:.80}")
        target = check_output(path)
        numbered = [target.with_stem(f"{target.stem}-{n}") for n in range(1, len(self.images) + 1)]
        paths = [target] if len(self.images) == 1 else numbered
        keep = metadata == "keep"
        inside = [
            self._insides(it, recipe=recipe, embed=embed, keep=keep) for it in range(len(paths))
        ]
        finished = list(zip(self.images, paths, inside, strict=True))
        for number, (picture, place, carried) in enumerate(finished):
            try:
                save_picture(picture, place, carried)
            except InputError as error:
                raise rescued(finished[number:], save_picture, error) from error
        if self.materials is not None:
            self.materials.saved.update(enumerate(place.name for place in paths))
        return tuple(paths)

    def show(self) -> None:
        """Open the pictures in the system's own viewer; a notebook shows a result by itself."""
        for picture in self.images:
            picture.show()

    def _repr_html_(self) -> str:
        """What a notebook shows: each picture with its seed."""
        captions = [
            f"seed {seed}, {picture.width}x{picture.height}{', interrupted' * self.interrupted}"
            for seed, picture in zip(self.seeds, self.images, strict=True)
        ]
        return html_pictures(self.images, captions)

    def _insides(self, number: int, *, recipe: bool, embed: bool, keep: bool) -> Insides:
        from refhooks._apps.recipes.picture_files import insides, kept_by  # noqa: PLC0415  only what is saved needs it

        own = self.recipes[number] if self.recipes else None
        size = self.images[number].size
        kept = kept_by(own, self.materials, number, size) if keep else None
        told = insides(own if recipe else None, self.materials, embed=embed, kept=kept)
        return attrs.evolve(told, keeps=self.kept)


def save_picture(picture: Image.Image, path: Path, inside: Insides | None = None) -> None:
    """Write a picture beside its place, then rename it, so that no half-written file is left.

    Raises:
        InputError: The disk is full or refuses the file, or the format cannot hold the picture.
    """
    kind = EXTENSIONS[path.suffix.lower()]
    buffer = io.BytesIO()
    if kind == "JPEG":  # which knows nothing of transparency
        from refhooks._base.pictures import in_mode  # noqa: PLC0415  imports Pillow

        picture = in_mode(picture, "RGB")
    try:
        if inside is None:
            profile = picture.info.get("icc_profile")
            options = compression(kind, keeps=False)
            picture.save(buffer, format=kind, icc_profile=profile, **options)
        else:
            buffer.write(inside.encode(picture, kind))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    data = buffer.getvalue()
    with _writing:
        write_whole(data, path)
        if inside is not None:
            inside.beside(path, kind, hashlib.sha256(data).hexdigest())

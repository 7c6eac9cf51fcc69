"""Recipes in pictures' files, or beside them: written, read and removed."""

from __future__ import annotations

import base64
import binascii
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.recipes import metadata
from refhooks._apps.recipes.kept import Kept, kept_of
from refhooks._apps.recipes.recipe import Recipe, parse_recipe
from refhooks._base.advice import warn_user
from refhooks._base.files import as_path, file_hash, mode_of, remove, write_whole
from refhooks._base.outputs import compression
from refhooks._base.shown import shown
from refhooks._base.tables import MAX_BYTES, parse_json
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from refhooks._apps.recipes.recording import Materials

__all__ = ["load_recipe", "strip_recipe"]

MAX_PICTURE = 256 * 2**20
MAX_SIDECAR = MAX_BYTES + metadata.MAX_EMBEDDED * 3 // 2
ENDING = ".recipe.json"


def sidecar_of(path: Path) -> Path:
    """Return where the recipe of a picture lies that could not take it."""
    return path.with_name(path.name + ENDING)


@attrs.frozen(eq=False)
class Insides:
    """What goes into a picture's file, or beside it.

    Attributes:
        text: The recipe; ``None``: nothing goes anywhere.
        embedded: Pictures, as PNG, by their hashes.
        kept: What the source says beside its pixels.
        keeps: Whether pixels of the source are in it, whose colours a lossy format must keep.
    """

    text: str | None = None
    embedded: Mapping[str, bytes] = attrs.field(factory=dict)
    kept: Kept = attrs.field(factory=Kept)
    keeps: bool = False

    def fits(self, kind: str) -> bool:
        """Return whether a file of this format takes it."""
        if self.text is None or kind == "PNG":
            return True
        return not self.embedded and (
            kind == "WEBP" or len(metadata.xmp(self.text, self.kept.xmp)) <= metadata.MAX_XMP
        )

    def encode(self, picture: Image, kind: str) -> bytes:
        """Return the picture's file."""
        kept = self.kept.fitting(kind)
        options: dict[str, Any] = {
            "format": kind,
            **compression(kind, keeps=self.keeps),
            "icc_profile": picture.info.get("icc_profile"),
            **kept.options(kind),
        }
        fits = self.text is not None and self.fits(kind)
        packet = metadata.xmp(str(self.text), kept.xmp) if fits else kept.xmp
        if packet and kind != "PNG":
            options["xmp"] = packet
        buffer = io.BytesIO()
        picture.save(buffer, **options)
        if kind != "PNG":
            return buffer.getvalue()
        data = metadata.with_chunks(buffer.getvalue(), kept.chunks())
        return metadata.into_png(data, str(self.text), self.embedded) if fits else data

    def beside(self, path: Path, kind: str, digest: str) -> None:
        """Write what the file did not take beside it, and remove what an earlier one left there.

        Args:
            path: Of the picture.
            kind: Its format.
            digest: sha256 of its file, so that a sidecar is not taken for another picture's.
        """
        place = sidecar_of(path)
        if self.fits(kind):
            if _is_sidecar(place):
                remove(place)
            return
        embedded = {
            key: base64.b64encode(picture_bytes).decode()
            for key, picture_bytes in self.embedded.items()
        }
        data = {"recipe": json.loads(str(self.text)), "embedded": embedded, "picture": digest}
        try:
            write_whole(json.dumps(data).encode("ascii"), place, mode=mode_of(path))
        except InputError as error:
            if _is_sidecar(place):
                remove(place)  # it is of a picture that is there no more
            _warn(f"{path} has no recipe: {error}")
        else:
            _warn(f"the recipe does not fit into {path}; it is in {place}, and belongs beside it")


def insides(
    recipe: Recipe | None, materials: Materials | None, *, embed: bool, kept: Kept | None = None
) -> Insides:
    """Return what goes into the file of a picture.

    Raises:
        InputError: A picture to put inside has changed, or they are larger than 64 MiB.
    """
    kept = kept or Kept()
    if recipe is None:
        return Insides(kept=kept)
    text = recipe.to_json()
    if len(text) > MAX_BYTES:
        _warn("the picture is saved without its recipe, which is larger than 1 MiB")
        return Insides(kept=kept)
    if not embed or materials is None:
        return Insides(text, kept=kept)
    embedded: dict[str, bytes] = {}
    keys = [picture.sha256 for picture in recipe.pictures]
    for key in dict.fromkeys([*keys, *[file.sha256 for file in recipe.files if file.picture]]):
        if key in materials.pictures:
            embedded[key] = _as_png(*materials.pictures[key], key)
    if sum(map(len, embedded.values())) + len(text) > metadata.MAX_EMBEDDED:
        raise InputError("the pictures are larger than 64 MiB; save without embed=True")
    return Insides(text, embedded, kept)


def kept_by(
    recipe: Recipe | None, materials: Materials | None, number: int, size: tuple[int, int]
) -> Kept:
    """Return what the source of a picture says beside its pixels.

    Args:
        recipe: Of the picture.
        materials: What its edit was given.
        number: Of the picture in its batch.
        size: Its width and height.

    Raises:
        InputError: There is no source, it has changed since the edit, or is gone.
    """
    sources = () if materials is None else materials.sources
    if not sources:
        raise InputError("there is no source whose metadata could be kept; leave it out")
    source = sources[min(number, len(sources) - 1)]
    if isinstance(source, Path) and recipe is not None:
        from refhooks._apps.recipes.tables import rgb_hash  # noqa: PLC0415  imports torch, a second
        from refhooks._base.pictures import load_whole  # noqa: PLC0415

        entry = recipe.source or recipe.references[0].picture
        if not entry.handed and rgb_hash(load_whole(source)) != entry.sha256:
            raise InputError(f"{source} has changed since the edit, so its metadata is not kept")
    return kept_of(source, size)


def _as_png(source: Path | Image, is_mask: bool, key: str) -> bytes:
    """The pixels and their profile: what else a file says, as where it was taken, stays outside."""
    from PIL import Image  # noqa: PLC0415  importing refhooks needs no PIL

    from refhooks._apps.recipes.tables import mask_hash, rgb_hash  # noqa: PLC0415  imports torch, a second
    from refhooks._base.pictures import load_mask, load_original  # noqa: PLC0415

    picture = (load_mask if is_mask else load_original)(source)  # some families read transparency
    pixel_hash = mask_hash(picture) if is_mask else rgb_hash(picture)
    if pixel_hash != key:
        raise InputError(f"{source} has changed since the edit, so it cannot be put inside")
    buffer = io.BytesIO()
    plain = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    plain.save(buffer, format="PNG", icc_profile=picture.info.get("icc_profile"))
    return buffer.getvalue()


def load_recipe(picture: str | Path) -> Recipe:
    """Return the recipe that a picture carries, or that lies beside it.

    Args:
        picture: A PNG, JPEG or WEBP file that refhooks saved, or the JSON file beside one.

    Raises:
        InputError: There is no such file, it carries no recipe, or what it carries is none: too
            large, too deep, of another form. Nothing of it is run.
    """
    path = as_path(picture)
    try:
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        if path.suffix.lower() == ".json":
            return _from_sidecar(path)
        return _from_picture(path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read: {error}") from error


def _from_picture(path: Path) -> Recipe:
    if path.stat().st_size > MAX_PICTURE:
        raise InputError(f"{path} is larger than 256 MiB")
    with path.open("rb") as file:
        try:
            carried = metadata.read(file)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    if carried.text is None:
        if sidecar_of(path).is_file():
            return _from_sidecar(sidecar_of(path), path)
        raise InputError(
            f"{path} carries no recipe: it was not saved by refhooks, was saved without, or a"
            " program that changed it since has dropped it"
        )
    return _placed(parse_recipe(carried.text, str(path)), path, carried.embedded)


def _is_sidecar(path: Path) -> bool:
    """Whether a file is one that refhooks wrote; another of that name is its owner's."""
    try:
        return path.is_file() and {"recipe", "embedded"} <= set(_sidecar(path))
    except (InputError, OSError):
        return False


def _sidecar(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_SIDECAR:
        raise InputError(f"{path} is larger than a recipe with pictures may be")
    return parse_json(path.read_bytes(), str(path))


def _from_sidecar(path: Path, picture: Path | None = None) -> Recipe:
    """Read a sidecar; one that was asked for by its own name may be any picture's."""
    data = _sidecar(path)
    if set(data) - {"picture"} != {"recipe", "embedded"} or not isinstance(data["embedded"], dict):
        raise InputError(f"{path} must hold a recipe and what is embedded, and nothing else")
    digest = data.get("picture", "")
    if not isinstance(digest, str):
        raise InputError(f"{path}: picture must be the hash of a file, got {shown(digest)}")
    if digest and picture is not None and digest != file_hash(picture):
        raise InputError(
            f"{picture} carries no recipe, and {path} beside it is of another picture, or of this"
            " one before a program changed it; name the .json file itself to read it all the same"
        )
    recipe = parse_recipe(json.dumps(data["recipe"]).encode(), str(path))
    embedded = {}
    for key, encoded in data["embedded"].items():
        try:
            embedded[key] = base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise InputError(f"{path}: what is embedded is no base64") from error
    return _placed(recipe, path, embedded)


def _placed(recipe: Recipe, path: Path, embedded: Mapping[str, bytes]) -> Recipe:
    known = {picture.sha256 for picture in recipe.pictures}
    known |= {file.sha256 for file in recipe.files if file.picture}
    if set(embedded) - known:
        raise InputError(f"{path}: a picture is put inside that the recipe does not name")
    if sum(map(len, embedded.values())) > metadata.MAX_EMBEDDED:
        raise InputError(f"{path}: the pictures inside of it are larger than 64 MiB")
    return attrs.evolve(recipe, folder=path.parent, embedded=dict(embedded))


def strip_recipe(picture: str | Path) -> bool:
    """Remove the recipe of a picture, and what lies beside it; its pixels stay bit-identical.

    Returns:
        Whether there was one.

    Raises:
        InputError: The file cannot be read or written.
    """
    path = as_path(picture)
    try:
        if not path.is_file() or path.stat().st_size > MAX_PICTURE:
            raise InputError(f"{path} is no picture of up to 256 MiB")
        data = path.read_bytes()
        clean = metadata.strip(data)
        if clean != data:
            write_whole(clean, path)
        beside = sidecar_of(path).is_file()
        if beside:
            sidecar_of(path).unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be changed: {error}") from error
    return beside or clean != data


def _warn(message: str) -> None:
    warn_user(message)

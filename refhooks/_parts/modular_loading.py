"""Loading a modular pipeline from its index: ``modular_model_index.json``.

The index names for each component a class, and where its files are. Only classes of diffusers and
transformers are taken, of the kind that the blocks expect, and the blocks are always diffusers' own
for the pipeline's class: nothing that a checkpoint says selects code. ``trust_remote_code`` is
never on.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers
from diffusers.utils import logging
from transformers.processing_utils import ProcessorMixin

from refhooks._base.names import listed
from refhooks._base.shown import shown
from refhooks._base.weight_files.transformer import with_transformer
from refhooks._parts.checkpoint_files import HUB_OPTIONS, file_dtype, of_hub
from refhooks._parts.empty_weights import weightless_modules
from refhooks._parts.modular import needed
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks._core.contract.entries import FamilyEntry

__all__ = ["ModularFiles", "blank"]

_MODELS = (diffusers.ModelMixin, transformers.PreTrainedModel)
_WORDS = (transformers.PreTrainedTokenizerBase, ProcessorMixin)
_AUTOS = (transformers.AutoProcessor, transformers.AutoTokenizer)
_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def blank(name: str, index: Mapping[str, Any], pipeline: Any, still: Any = None) -> Any:
    """Return a modular pipeline without its models, of a checked index.

    Args:
        name: The folder or repository.
        index: Its ``modular_model_index.json``.
        pipeline: The class of diffusers that it names, which a family adapts.
        still: The family's processor for still pictures, which an index may name too.

    Raises:
        ModelError: It names blocks, classes or places that are not taken.
    """
    own = pipeline.default_blocks_name
    if index.get("_blocks_class_name", own) not in {own, None}:
        raise ModelError(
            f"{name} is a {pipeline.__name__} of the blocks {shown(index['_blocks_class_name'])};"
            f" refhooks runs only those of diffusers, {own}"
        )
    blocks = getattr(diffusers, own)()
    checked = dict(index)
    for spec in blocks.expected_components:
        if spec.name in index:
            entry = _expected(index[spec.name], spec.type_hint, still)
            _check_entry(name, spec.name, entry, spec.type_hint)
            checked[spec.name] = entry
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # guiders are said to be experimental
    try:
        return pipeline(blocks, pretrained_model_name_or_path=name, modular_config_dict=checked)
    finally:
        logging.set_verbosity(level)


def _expected(entry: Any, expected: Any, still: Any) -> Any:
    """An entry that names the family's own processor, with the class that this one stands for."""
    own = None if still is None else [still.__module__, still.__name__]
    if own is None or not isinstance(entry, list) or entry[:2] != own or len(entry) != 3:
        return entry
    stock = ["transformers", expected.__name__]
    return [*stock, {**entry[2], "type_hint": stock}] if isinstance(entry[2], dict) else entry


def _check_entry(name: str, part: str, entry: Any, expected: Any) -> None:
    """Refuse an entry of an index whose class is not taken, or whose files are at no plain place.

    An entry is library, class and how it is loaded; where that names a class too, it is the one.
    """
    good = isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], dict)
    hint = entry[2].get("type_hint") if good else None
    if not (good and isinstance(hint, list) and len(hint) == 2):
        raise ModelError(
            f"{name}: {part} of modular_model_index.json must be library, class and how it is"
            f" loaded, got {shown(entry)}"
        )
    classes = [each for each in (hint, entry[:2]) if each != [None, None]]
    for library, kind in classes:
        found = getattr(_LIBRARIES.get(str(library)), str(kind), None)
        if not _fits(found, expected):
            raise ModelError(
                f"{name} names {library}.{kind} for its {part}, where {expected.__name__} of"
                f" diffusers or transformers is expected; refhooks loads no other code"
            )
    place = entry[2].get("pretrained_model_name_or_path")
    subfolder = entry[2].get("subfolder") or ""
    plain = place is None or isinstance(place, str)
    if not plain or not isinstance(subfolder, str) or ".." in Path(subfolder).parts:
        raise ModelError(f"{name}: {part} has its files at {shown(place)}, which is no place")
    if place is not None and not (_REPOSITORY.fullmatch(place) or Path(place).is_dir()):
        raise ModelError(
            f"{name} has its {part} at {shown(place)}, which is neither a folder nor a repository"
            " (owner/name); load that part yourself and hand it over"
            f" (from_pretrained(..., {part}=...))"
        )


def _fits(kind: Any, expected: Any) -> bool:
    """Whether a class can stand for the one that blocks expect."""
    if not isinstance(kind, type):
        return False
    if issubclass(expected, (*_WORDS, *_AUTOS)):
        return issubclass(kind, (*_WORDS, *_AUTOS))
    return issubclass(kind, expected)


class ModularFiles:
    """The files of a modular pipeline, of which those are read that its family needs.

    Args:
        name: The folder or repository.
        index: Its ``modular_model_index.json``.
        pipeline: The class of diffusers that it names.
        entry: The family that adapts it.
        kwargs: Options of the Hub, ``dtype``, ``quantization_config``, and components that the
            caller has.

    Raises:
        ModelError: The index names what is not taken, or does not say where a component is; or
            there are other ``kwargs``.
    """

    def __init__(
        self,
        name: str,
        index: Mapping[str, Any],
        pipeline: Any,
        entry: FamilyEntry,
        kwargs: Mapping[str, Any],
    ) -> None:
        self._name = name
        self._still = getattr(entry.load(), "still_processor", None)
        self._pipe = blank(name, index, pipeline, self._still)
        self._kwargs = dict(kwargs)
        known = self._pipe._component_specs  # noqa: SLF001  get_component_spec copies classes
        self._given = {key: value for key, value in kwargs.items() if key in known}
        options = {*HUB_OPTIONS, "dtype", "torch_dtype", "quantization_config"}
        unused = sorted(kwargs.keys() - {*self._given, *options})
        if unused:
            raise ModelError(
                f"a modular pipeline takes no {listed(unused)}; its components are {listed(known)}"
            )
        self._specs = self._to_load(entry.modular[pipeline.__name__])

    def load(
        self, device: torch.device | None, transformer: str | Path | None, *, weights: bool
    ) -> Any:
        """Return the modular pipeline with its components.

        Args:
            device: Where it will be.
            transformer: A file that its transformer's weights are of; ``None``: its own.
            weights: Whether models are loaded, or hold nothing.

        Raises:
            ModelError: A file cannot be used.
        """
        dtype = self._dtype()
        parts: dict[str, Any] = {}
        for name, spec in self._specs.items():
            if transformer is not None and name == "transformer" and weights:
                continue
            hollow = not weights and issubclass(spec.type_hint, _MODELS)
            parts[name] = self._hollow(spec, dtype) if hollow else self._one(name, spec, dtype)
        if transformer is not None:
            parts = self._with_file(transformer, {**parts, "dtype": dtype}, device)
        self._pipe.register_components(**parts, **self._given)
        return self._pipe

    def _to_load(self, place: str) -> dict[str, Any]:
        specs = {}
        for name, required in {**needed(place), "guider": True}.items():
            spec = self._pipe._component_specs.get(name)  # noqa: SLF001
            if spec is None or not required or name in self._given:
                continue
            if spec.default_creation_method == "from_pretrained":
                if spec.pretrained_model_name_or_path is None:
                    raise ModelError(
                        f"{self._name}: modular_model_index.json does not say where its {name} is;"
                        f" hand it over (from_pretrained(..., {name}=...))"
                    )
                specs[name] = spec
        return specs

    def _dtype(self) -> Any:
        """The one asked for, or that of the text encoder's files."""
        dtype = self._kwargs.get("dtype", self._kwargs.get("torch_dtype"))
        for spec in self._specs.values():
            if dtype is None and issubclass(spec.type_hint, transformers.PreTrainedModel):
                part = {spec.subfolder or ".": ["transformers", spec.type_hint.__name__]}
                dtype = file_dtype(spec.pretrained_model_name_or_path, part, self._hub(spec))
        return torch.float32 if dtype is None else dtype

    def _hub(self, spec: Any) -> dict[str, Any]:
        """Where the Hub is asked; the caller's revision is that of the index's own repository."""
        hub = of_hub(self._kwargs)
        asked = hub.pop("revision", None)
        own = asked if spec.pretrained_model_name_or_path == self._name else None
        return {**hub, "revision": spec.revision or own}

    def _hollow(self, spec: Any, dtype: torch.dtype) -> Any:
        part, place = spec.subfolder or "", spec.pretrained_model_name_or_path
        index = {part: [spec.type_hint.__module__.split(".")[0], spec.type_hint.__name__]}
        return weightless_modules(place, index, dtype, self._hub(spec))[part]

    def _with_file(
        self, path: str | Path, parts: dict[str, Any], device: torch.device | None
    ) -> dict[str, Any]:
        """The parts with the transformer of a file, whose configuration is the checkpoint's."""
        spec = self._pipe._component_specs["transformer"]  # noqa: SLF001
        index = {"transformer": ["diffusers", spec.type_hint.__name__]}
        place = spec.pretrained_model_name_or_path
        made = with_transformer(path, place, index, parts, device, self._hub(spec))
        return {name: part for name, part in made.items() if name != "dtype"}

    def _one(self, name: str, spec: Any, dtype: torch.dtype) -> Any:
        """Load a component from its own place."""
        kind, place = spec.type_hint, spec.pretrained_model_name_or_path
        where: dict[str, Any] = {"subfolder": spec.subfolder or "", **self._hub(spec)}
        if issubclass(kind, _MODELS):
            where |= {"dtype": dtype, "use_safetensors": True, "variant": spec.variant}
            where |= self._quantised(name, own=issubclass(kind, diffusers.ModelMixin))
        elif kind in _AUTOS:
            where["trust_remote_code"] = False
        missing = importlib.util.find_spec("torchvision") is None
        if self._still and missing and issubclass(kind, (ProcessorMixin, _AUTOS[0])):
            return _still(self._still, place, where)
        return kind.from_pretrained(place, **where)

    def _quantised(self, name: str, *, own: bool) -> dict[str, Any]:
        """What quantises a component, as diffusers' own loader asks for it."""
        config = self._kwargs.get("quantization_config")
        if config is None:
            return {}
        part = config._resolve_quant_config(is_diffusers=own, module_name=name)  # noqa: SLF001
        return {} if part is None else {"quantization_config": part}


def _still(processor: Any, place: str, where: Mapping[str, Any]) -> Any:
    """A processor for still pictures; its stock class wants one for videos, of torchvision."""
    from refhooks.families import StillPictures  # noqa: PLC0415  of another storey's size

    options = {key: value for key, value in where.items() if key != "trust_remote_code"}
    if Path(place).is_dir():  # some of transformers look for a subfolder on the Hub alone
        place = str(Path(place) / options.pop("subfolder"))
    tokenizer = transformers.Qwen2Tokenizer.from_pretrained(place, **options)
    images = StillPictures.image_processor_class().from_pretrained(place, **options)
    return processor(images, tokenizer, chat_template=tokenizer.chat_template)

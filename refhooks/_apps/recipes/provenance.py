"""What ran: the model and the libraries, and what has changed since."""

from __future__ import annotations

import functools
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._apps.recipes.additions import (
    attention_of,
    lora_changes,
    loras_of,
    scheduler_changes,
    scheduler_of,
)
from refhooks._apps.recipes.needs import plugin_differences
from refhooks._apps.recipes.parts import RecipeFile, RecipeModel
from refhooks._apps.recipes.tables import known_name
from refhooks._base.advice import warn_user
from refhooks._base.weight_files.sources import floating_weight, source_of
from refhooks.hookspecs import HOOKSPEC_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks._core.models.loaded import LoadedModel


LIBRARIES = ("refhooks", "torch", "diffusers", "transformers", "numpy", "pillow")
_ADDED = ("loras", "scheduler", "attention")
_REVISION = re.compile(r"snapshots[/\\]([0-9a-f]{40})")


def model_of(editor: LoadedModel) -> RecipeModel:
    """Return what an editor runs, without any path of this machine."""
    pipe, transformer = editor.pipe, editor.family.transformer
    parameter = floating_weight(transformer)
    place = parameter.device
    places = (transformer, getattr(pipe, "vae", None))  # a file has no revision, the rest has
    paths = [str(getattr(getattr(it, "config", None), "_name_or_path", "")) for it in places]
    revision = _REVISION.search("\n".join(paths))
    device = place.type if place.type != "cuda" else torch.cuda.get_device_name(place)
    return RecipeModel(
        name=_model_name(editor),
        family=editor.family.name,
        pipeline=type(pipe).__name__,
        revision=revision[1] if revision else "",
        dtype=str(parameter.dtype).removeprefix("torch."),
        device=device,
        threads=torch.get_num_threads() if place.type == "cpu" else 0,
        extras=_extras(transformer),
        loras=loras_of(editor.family, pipe),
        scheduler=scheduler_of(pipe),
        attention=attention_of(transformer),
        transformer=_file(transformer),
    )


def _file(transformer: Any) -> RecipeFile | None:
    source = source_of(transformer)
    if source is None:
        return None
    digest = source.sha256()
    if not digest:
        warn_user(
            f"{source.name} is not there any more, or has changed since the transformer was loaded"
            " from it, so the recipe has no hash of it"
        )
    return RecipeFile(digest, known_name(source.name), picture=False) if digest else None


def _model_name(editor: LoadedModel) -> str:
    """An embedded model's, a repository, or the last part of a folder's path."""
    for model in editor.registry.models.values():
        if model.checkpoint is editor.checkpoint:
            return model.name
    folder = Path(str(getattr(editor.pipe, "name_or_path", "") or "")).name
    return editor.model.base or known_name(folder)


def _extras(transformer: Any) -> tuple[str, ...]:
    extras = [f"LoRA {name}" for name in getattr(transformer, "peft_config", {}) or {}]
    quantizer = getattr(transformer, "hf_quantizer", None)
    return (*extras, *([] if quantizer is None else [f"quantized, {type(quantizer).__name__}"]))


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    pairs = [("hookspec", "{}.{}".format(*HOOKSPEC_VERSION))]
    for name in LIBRARIES:
        try:
            pairs.append((name, version(name)))
        except PackageNotFoundError:
            pairs.append((name, ""))
    return tuple(pairs)


def versions() -> dict[str, str]:
    """Return the version of every library that takes part in the numbers, and of the contract."""
    return dict(_versions())


def differences(
    model: RecipeModel, libraries: Mapping[str, str], used: Mapping[str, str], editor: LoadedModel
) -> tuple[str, ...]:
    """Return what is not as it was.

    Args:
        model: What was run.
        libraries: The versions that took part, as :func:`versions` gives them.
        used: The plugins that took part, with distribution and version.
        editor: What would run now.
    """
    now = model_of(editor)
    changes = [
        f"{field.name} of the model: it was {_said(was)}, and is {_said(new)}"
        for field in attrs.fields(RecipeModel)
        if field.name not in _ADDED
        and (was := getattr(model, field.name)) != (new := getattr(now, field.name))
    ]
    changes += addition_changes(model, now)
    current = versions()
    for name, was in libraries.items():
        if current.get(name) != was:
            changes.append(f"{name}: it was {was}, and is {current.get(name) or 'not there'}")
    return (*changes, *plugin_differences(used, editor.registry))


def addition_changes(model: RecipeModel, now: RecipeModel) -> tuple[str, ...]:
    """Return what is not as it was of what users put on a model; an earlier form says none of it.

    It makes another picture by intention, not by rounding, so it is told whatever else differs.
    """
    lines: tuple[str, ...] = ()
    if model.loras is not None:
        lines += lora_changes(model.loras, now.loras or ())
    if model.scheduler is not None:
        lines += scheduler_changes(model.scheduler, now.scheduler or {})
    if model.attention and model.attention != now.attention:
        lines += (f"attention backend: it was {model.attention:.200}, and is {now.attention}",)
    return lines


def _said(value: Any) -> str:
    if value is None or isinstance(value, RecipeFile):
        return (
            f"{value.name or 'a file'} (sha256 {value.sha256[:12]}…)" if value else "no single file"
        )
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value) or "not known"

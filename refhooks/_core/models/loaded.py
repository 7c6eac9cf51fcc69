"""A loaded model with its family adapter: what plans and runs are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from refhooks._base.shown import shown
from refhooks._core.contract.checkpoint import Checkpoint
from refhooks._core.contract.methods import ModelInfo
from refhooks._core.models.family_calls import named_family
from refhooks._core.plugins.inline import with_plugins
from refhooks._core.plugins.loading import load_registry
from refhooks._loras.taking import TakesLoras
from refhooks._parts.adapting import adapt
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


__all__ = ["LoadedModel"]


class LoadedModel(TakesLoras):
    """A loaded model with the adapter to its family, and the plugins that names mean.

    :class:`refhooks.Editor` is one that edits.

    Args:
        pipe: A diffusers pipeline you already have (with LoRA, compiled, offloaded, quantised). It
            is used as it is and left as it is. Or a ``ModularPipeline``, whose components are.
        checkpoint: What the checkpoint prescribes where the stock pipeline's defaults do not fit.
        plugins: Modules, or objects, with registration hooks, besides the plugins that are
            installed: what they register has its name in strategies of this model's edits.
        encodings_mib: How much is kept of what prompts and pictures were encoded to, in MiB; 0:
            they are encoded anew in each edit. At 1 MP a prompt of Qwen-Image-Edit that sees a
            picture, with its negative one and the picture's latents, comes to about 12 MiB.

    Attributes:
        pipe: The pipeline; for a modular one, that which its components make.
        checkpoint: What the checkpoint prescribes.
        family: The adapter to its model family.
        registry: The plugins that methods are named from.

    Raises:
        InputError: ``pipe`` is a name or a path; :meth:`from_pretrained` takes these.
        ModelError: No live plugin has an adapter for the pipeline's class, or a modular one lacks
            components or runs blocks of its own.
        PluginError: One of ``plugins`` is none, or registers a name that is taken.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        checkpoint: Checkpoint | None = None,
        plugins: Sequence[object] = (),
        encodings_mib: float = 128,
    ) -> None:
        from refhooks._base.encodings import Encodings  # noqa: PLC0415  imports torch, a second

        if isinstance(pipe, str | Path):
            raise InputError(
                f"{type(self).__name__}(...) takes a loaded pipeline, got {shown(str(pipe))}; one"
                f" that has a name is loaded by {type(self).__name__}.from_pretrained(...)"
            )
        self.registry = with_plugins(load_registry(), plugins)
        self.pipe, self.checkpoint, self.family = adapt(
            self.registry, pipe, checkpoint or Checkpoint()
        )
        self.family.encodings = Encodings(encodings_mib)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        weights: bool = True,
        transformer: str | Path | torch.nn.Module | None = None,
        plugins: Sequence[object] = (),
        encodings_mib: float = 128,
        **kwargs: Any,
    ) -> Self:
        """Load a model.

        Args:
            name_or_path: A folder that ``save_pretrained`` wrote, or a repository on the Hugging
                Face Hub such as ``Qwen/Qwen-Image-Edit-2511``.
            device: Where to put it, such as ``cuda``; by default it stays where diffusers loads it.
            dtype: Such as ``bfloat16``; by default that of the files.
            weights: ``False`` reads the configuration alone, in seconds and without the memory,
                for :func:`refhooks.plan` and :func:`refhooks.cost`; edits are refused. An embedded
                model is loaded all the same, it is small.
            transformer: A single file with the weights of the transformer, ``.safetensors`` or
                ``.gguf``: in bf16 or alike, scaled fp8 or int8 (its scales are applied), or
                quantised as GGUF has it; all else is that of ``name_or_path``. Or a transformer
                that is loaded.
            plugins: As for :class:`Editor`.
            encodings_mib: Likewise.
            **kwargs: Passed to diffusers' ``from_pretrained``; without weights, those of the Hub
                alone (``revision``, ``token``, ``local_files_only``...).

        Raises:
            ModelError: No such model, not a diffusers pipeline, a device or dtype that is not
                there, a family that no live plugin knows, or a file that is none, damaged, or of
                another model.
            OutOfMemoryError: The device is too small for it.
        """
        from refhooks._base.encodings import read_mib  # noqa: PLC0415  imports torch
        from refhooks._parts.loading import load_model  # noqa: PLC0415  imports diffusers, which takes seconds

        read_mib(encodings_mib)
        if transformer is not None and not isinstance(transformer, str | Path):
            kwargs["transformer"], transformer = transformer, None
        pipe, checkpoint = load_model(
            name_or_path,
            registry=load_registry(),
            device=device,
            dtype=dtype,
            kwargs=kwargs,
            weights=weights,
            transformer=transformer,
        )
        return cls(pipe, checkpoint=checkpoint, plugins=plugins, encodings_mib=encodings_mib)

    @property
    def model(self) -> ModelInfo:
        """What methods may know of the model."""
        family = named_family(self.family, self.registry)
        return ModelInfo(
            family=family.name,
            base=self.checkpoint.base or _repository(self.pipe),
            files=self.checkpoint.files,
            input_projection=family.input_projection,
            transformer=family.transformer,
            rope_axes=family.rope_axes,
            reuse_exact=family.reuse_exact,
            token_bytes=family.token_bytes,
            sight=family.sight,
            variants=family.variants,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.pipe).__name__}, family={self.family.name!r})"


def _repository(pipe: Any) -> str | None:
    """The repository that diffusers loaded a pipeline from; ``None`` for a folder."""
    name = getattr(pipe, "name_or_path", None)
    named = isinstance(name, str) and name.count("/") == 1 and not Path(name).exists()
    return name if named and str(name).split("/")[0] not in {"", ".", "..", "~"} else None

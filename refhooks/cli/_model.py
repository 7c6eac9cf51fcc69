"""Loading a model as the command line asks for it; what can be refused is refused before."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._apps.editing.distilled import MAX_SHIFT, set_shift, shift_of
from refhooks._base.numbers import number
from refhooks._base.weight_files.filling import is_quantised
from refhooks._base.weight_files.opening import open_weights
from refhooks._editor import Editor
from refhooks.cli._libraries import quiet
from refhooks.cli._lora import Lora, add_loras, check_loras
from refhooks.cli._options import DEFAULT_MODEL, REAL_MODEL
from refhooks.cli._terminal import say, working
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from refhooks._core.plugins.registry import Registry

PACKAGES = {"int8": "torchao", "fp8": "torchao", "nf4": "bitsandbytes"}


@attrs.frozen(kw_only=True)
class ModelOptions:
    """The options under the heading ``Model``, as they were given."""

    name: str | None
    device: str | None
    dtype: str | None
    offload: str
    quantize: str
    loras: tuple[str, ...]
    transformer: str | None = None
    shift: float | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> ModelOptions:
        """Take these options out of all that a command was given."""
        return cls(**{field.name: options.pop(field.name) for field in attrs.fields(cls)})


@attrs.frozen(kw_only=True)
class ModelPlan:
    """A model that can be loaded, as far as this can be known before.

    Attributes:
        name: Folder, repository or embedded model.
        chosen: Whether the user named it.
        embedded: Whether a plugin brings it along.
        device: Where it runs; ``None``: where it is loaded.
        dtype: ``None``: that of the files.
        offload: ``none``, ``model``, ``group`` or ``sequential``.
        quantize: ``none``, ``int8``, ``fp8`` or ``nf4``.
        loras: Their files and scales.
        shift: Of the noise levels; ``None``: that of the files.
        weights: Whether they are loaded; not for plans.
        transformer: A single file with the weights of the transformer.
    """

    name: str
    chosen: bool = True
    embedded: bool = False
    device: str | None = None
    dtype: str | None = None
    offload: str = "none"
    quantize: str = "none"
    loras: tuple[Lora, ...] = ()
    shift: float | None = None
    weights: bool = True
    transformer: str | None = None


def plan_model(options: ModelOptions, registry: Registry) -> ModelPlan:
    """Check the options of a model and return what is to be loaded.

    Raises:
        ModelError: Nothing embeds the default model, or an option needs what is not there.
    """
    name = options.name or DEFAULT_MODEL
    embedded = name in registry.models
    if options.transformer is not None:
        check_transformer(
            options.transformer, options.name, embedded=embedded, offload=options.offload
        )
    if options.name is None and not embedded:
        raise ModelError(
            f"there is no embedded model {name!r}; name a model with --model, a folder or a"
            f" repository such as {REAL_MODEL}.{registry.absent()}"
        )
    _check_quantize(options.quantize, name, embedded=embedded)
    if options.shift is not None:
        number(options.shift, "--shift", 0.0, MAX_SHIFT)  # click takes NaN for one
    loras = check_loras(options.loras)
    told = (shift_of(lora.header.notes) for lora in loras)
    shift = next((shift for shift in told if shift is not None), None)
    return ModelPlan(
        name=name,
        chosen=options.name is not None,
        embedded=embedded,
        device=_device(options, embedded=embedded),
        dtype=options.dtype,
        offload=options.offload,
        quantize=options.quantize,
        loras=loras,
        shift=shift if options.shift is None else options.shift,
        transformer=options.transformer,
    )


def open_editor(plan: ModelPlan) -> Editor:
    """Load the model.

    Raises:
        ModelError: It cannot be loaded, or a LoRA does not fit it.
    """
    say_embedded(plan)
    options: dict[str, Any] = {"dtype": plan.dtype}
    if plan.transformer is not None:
        options["transformer"] = plan.transformer
    if not plan.weights:
        options["weights"] = False
    if plan.offload == "none":
        options["device"] = plan.device
    if plan.quantize != "none":
        options["quantization_config"] = _quantization(plan.quantize)
        options["dtype"] = plan.dtype or "bfloat16"
    spinner = working(f"loading {plan.name}") if plan.embedded else contextlib.nullcontext()
    if plan.embedded and plan.device in {None, "cpu"}:
        # Its tensors are tiny, and threads wait for each other: on 2 cores with other work, an
        # edit took 12 s with two of them and 0.9 s with one.
        torch.set_num_threads(1)
    with quiet(bars=not plan.embedded), spinner:
        editor = Editor.from_pretrained(plan.name, **options)
        add_loras(editor, plan.loras)
        if plan.shift is not None:
            set_shift(editor.pipe, plan.shift)
        _offload(editor.pipe, plan)
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


def say_embedded(plan: ModelPlan) -> None:
    """Say which model it is where the user named none."""
    if not plan.chosen:
        say(
            "note",
            f"editing with the embedded model {plan.name!r}, which knows drawn scenes only; for"
            f" photographs add --model {REAL_MODEL}",
            "cyan",
        )


def check_transformer(file: str, model: str | None, *, embedded: bool, offload: str = "") -> None:
    """Refuse what can be refused before the model is loaded.

    Raises:
        ModelError: No model is named that the file could be of, or it cannot be read.
    """
    if model is None or embedded:
        named = "no model" if model is None else "an embedded one"
        raise ModelError(
            f"--transformer {file} needs the model that it is of, for all else, and {named} is"
            f" named; add --model, such as --model {REAL_MODEL}"
        )
    opened = open_weights(file)
    if offload == "sequential" and is_quantised(opened):
        raise ModelError(
            f"--offload sequential cannot move the quantised weights of {file}; use --offload model"
            " or group"
        )


def _device(options: ModelOptions, *, embedded: bool) -> str | None:
    """An embedded model is small enough to stay where it is loaded, unless it is sent away."""
    if options.device is not None or (embedded and options.offload == "none"):
        device = options.device
    else:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        device = None if accelerator is None else str(accelerator)
    if options.offload != "none" and (device is None or device.startswith("cpu")):
        raise ModelError(
            f"--offload {options.offload} moves the model to an accelerator and back, and"
            + (" --device says cpu" if device else " there is none here")
            + "; leave --offload out"
        )
    return device


def _offload(pipe: Any, plan: ModelPlan) -> None:
    if plan.offload == "model":
        pipe.enable_model_cpu_offload(device=plan.device)
    elif plan.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=plan.device)
    elif plan.offload == "group":
        place = torch.device(str(plan.device))
        # By leaf: text encoders nest their layers too deep for diffusers to find blocks in them.
        pipe.enable_group_offload(
            onload_device=place, offload_type="leaf_level", use_stream=place.type == "cuda"
        )


def _check_quantize(kind: str, name: str, *, embedded: bool) -> None:
    if kind == "none":
        return
    if embedded:
        raise ModelError(f"--quantize is for models loaded from files; {name!r} is embedded")
    package = PACKAGES[kind]
    if importlib.util.find_spec(package) is None:
        raise ModelError(
            f"--quantize {kind} needs the package {package}; install it with:"
            ' pip install "refhooks[quantize]"'
        )
    if kind == "nf4" and not torch.accelerator.is_available():
        raise ModelError("--quantize nf4 needs an accelerator, and there is none here; try int8")


def _quantization(kind: str) -> Any:
    """The two large models are quantised; the VAE is small, and shows errors as they are."""
    import diffusers  # noqa: PLC0415  takes seconds
    import transformers  # noqa: PLC0415

    if kind == "nf4":
        options = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": torch.bfloat16,
        }
        mapping = {
            "transformer": diffusers.BitsAndBytesConfig(**options),
            "text_encoder": transformers.BitsAndBytesConfig(**options),
        }
    else:
        quantization = importlib.import_module("torchao.quantization")  # an extra
        scheme = {"int8": "Int8WeightOnlyConfig", "fp8": "Float8WeightOnlyConfig"}[kind]
        mapping = {
            "transformer": diffusers.TorchAoConfig(getattr(quantization, scheme)()),
            "text_encoder": transformers.TorchAoConfig(getattr(quantization, scheme)()),
        }
    return diffusers.PipelineQuantizationConfig(quant_mapping=mapping)

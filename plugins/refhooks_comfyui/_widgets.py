"""What the numbers in ``widgets_values`` are: the saved form of a node names none of them.

Newer files name a widget beside each input, but only where it could be linked to.
"""

from __future__ import annotations

from typing import Any

CONTROL = "control_after_generate"
CONTROLS = ("fixed", "increment", "decrement", "randomize")

_PLUS = ("strength", "face", "hair", "body", "clothes", "background", "ignore_area", "feather",
         "grow", "start_percent", "end_percent")  # fmt: skip

WIDGETS: dict[str, tuple[str, ...]] = {
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "CFGNorm": ("strength",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CLIPLoader": ("clip_name", "type", "device"),
    "CLIPTextEncode": ("text",),
    "ComfySwitchNode": ("switch",),
    "ConditioningAverage": ("conditioning_to_strength",),
    "ConditioningSetArea": ("width", "height", "x", "y", "strength"),
    "ConditioningSetAreaStrength": ("strength",),
    "ConditioningSetMask": ("strength", "set_cond_area"),
    "ConditioningSetTimestepRange": ("start", "end"),
    "DualCFGGuider": ("cfg_conds", "cfg_cond2_negative", "style"),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "EmptyFlux2LatentImage": ("width", "height", "batch_size"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "Flux2KleinMaskRefController": ("strength", "invert_mask", "feather"),
    "Flux2KleinRefLatentController": (
        "strength", "reference_index", "spatial_fade", "spatial_fade_strength", "debug",
    ),
    "Flux2KleinRefLatentWeight": ("reference_index", "weight"),
    "Flux2KleinTextRefBalance": ("balance", "debug"),
    "Flux2Scheduler": ("steps", "width", "height"),
    "FluxGuidance": ("guidance",),
    "FluxKontextMultiReferenceLatentMethod": ("reference_latents_method",),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "ImageScaleToTotalPixels": ("upscale_method", "megapixels", "resolution_steps"),
    "ImageToMask": ("channel",),
    "InpaintModelConditioning": ("noise_mask",),
    "KSampler": ("seed", CONTROL, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", CONTROL, "steps", "cfg", "sampler_name", "scheduler",
        "start_at_step", "end_at_step", "return_with_leftover_noise",
    ),
    "KSamplerSelect": ("sampler_name",),
    "LoadImage": ("image", "upload"),
    "LoadImageMask": ("image", "channel", "upload"),
    "LoadImageOutput": ("image",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "ManualSigmas": ("sigmas",),
    "ModelSamplingAuraFlow": ("shift",),
    "ModelSamplingFlux": ("max_shift", "base_shift", "width", "height"),
    "ModelSamplingSD3": ("shift",),
    "PrimitiveBoolean": ("value",),
    "PrimitiveFloat": ("value",),
    "PrimitiveInt": ("value", CONTROL),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
    "RandomNoise": ("noise_seed", CONTROL),
    "ReferenceLatentPlus": (
        "max_megapixels", "mask_fill_mode",
        *(f"image{number}_{name}" for number in range(1, 5) for name in _PLUS),
    ),
    "ReferenceMultiLatent": ("resize", "megapixels"),
    "SamplerCustom": ("add_noise", "noise_seed", CONTROL, "cfg"),
    "SplitSigmasDenoise": ("denoise",),
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
    "TextEncodeQwenImage21": ("prompt", "negative_prompt", "resolution"),
    "TextEncodeQwenImageEdit": ("prompt",),
    "TextEncodeQwenImageEditPlus": ("prompt",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UnetLoaderGGUF": ("unet_name",),
}  # fmt: skip
WIDGETS["KleinReferenceLatentPlus"] = WIDGETS["ReferenceLatentPlus"]  # its older name


def widget_values(node: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a saved node by their names, as far as these are known."""
    values = node.get("widgets_values")
    if isinstance(values, dict):
        return values
    if not isinstance(values, list):
        return {}
    names = WIDGETS.get(str(node.get("type")))
    return _named(names, values) if names is not None else _by_inputs(node, values)


def _named(names: tuple[str, ...], values: list[Any]) -> dict[str, Any]:
    """What becomes of a seed stands behind it, but not in every file."""
    read: dict[str, Any] = {}
    waiting = list(values)
    for name in names:
        if not waiting:
            break
        if name == CONTROL and waiting[0] not in CONTROLS:
            continue
        read[name] = waiting.pop(0)
    return read


def _by_inputs(node: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """A node that is not known: its inputs name the widgets, where none is left out."""
    inputs = node.get("inputs")
    entries = inputs if isinstance(inputs, list) else []
    names = [
        it["widget"].get("name")
        for it in entries
        if isinstance(it, dict) and isinstance(it.get("widget"), dict)
    ]
    named = len(names) == len(values) and all(isinstance(name, str) for name in names)
    return dict(zip(names, values, strict=True)) if named else {}

"""What users of other tools write as arguments of an edit, and what it is called here."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from refhooks._base.names import did_you_mean, listed
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["refuse_unknown"]

_SAME = {
    "steps": ("num_inference_steps", "num_steps", "step"),
    "cfg": ("true_cfg_scale", "guidance_scale", "cfg_scale", "scale"),
    "n": ("num_images_per_prompt", "num_images", "batch_size", "count"),
    "seed": ("seeds",),
    "negative_prompt": ("negative", "negative_prompts"),
    "references": ("reference", "ref", "refs", "reference_image", "reference_images", "images"),
    "prompt": ("prompts", "text"),
    "image": ("source", "init_image", "input_image"),
    "plugins": ("plugin",),
    "record_attention": ("record", "return_attention"),
}
_OTHERWISE = {
    "generator": "seed=0 draws what torch.Generator().manual_seed(0) draws",
    "mask_image": "edit_mask=; what is white may change",
    "mask": "edit_mask= for where the picture may change, or masks=[...] of a Strategy for where a"
    " reference acts",
    "masks": "masks=[...] of a Strategy",
    "callback_on_step_end": "callback=, called as callback(step, latents, x0)",
    "callback_on_step_end_tensor_inputs": "callback=, called as callback(step, latents, x0)",
    "output_type": "result.images are PIL pictures, result.latents the latents",
    "return_dict": "an EditResult is returned; result.images are the pictures",
    "size": "height= and width=, in pixels, or resolution=, a pixel area",
    "latents": "the noise follows from seed=, and denoise= below 1 starts from the source",
    "prompt_embeds": "prompt=; the editor encodes it",
    "negative_prompt_embeds": "negative_prompt=; the editor encodes it",
    "prompt_embeds_mask": "prompt=; the editor encodes it",
    "sigmas": "steps=; the scheduler, editor.pipe.scheduler, spaces them",
    "timesteps": "steps=; the scheduler, editor.pipe.scheduler, spaces them",
    "scheduler": "editor.pipe.scheduler",
    "max_sequence_length": "a prompt is as long as the model reads",
    "attention_kwargs": "editor.add_lora(file, scale) for the scale of a LoRA",
    "joint_attention_kwargs": "editor.add_lora(file, scale) for the scale of a LoRA",
    "lora": "editor.add_lora(file, scale), before the edit",
    "loras": "editor.add_lora(file, scale), before the edit",
    "device": 'Editor.from_pretrained(..., device="cuda")',
    "dtype": 'Editor.from_pretrained(..., dtype="bfloat16")',
    "padding_mask_crop": "edit_mask=; the whole picture is computed",
    "schedule": "strength=, which takes one: refhooks.schedule(...) or a form such as '0.4:1.0'",
    "until": "until= of a refhooks.Stage",
}


def refuse_unknown(function: Callable[..., object], unknown: Mapping[str, object]) -> None:
    """Refuse arguments that a function does not have; the message says what they are called.

    Args:
        function: Whose arguments are known by its signature, such as ``Editor.edit``.
        unknown: What it was given besides.

    Raises:
        InputError: There is one.
    """
    if not unknown:
        return
    parameters = inspect.signature(function).parameters.values()
    known = [it.name for it in parameters if it.name != "self" and it.kind != it.VAR_KEYWORD]
    told = [f"{name} ({_advice(name, known)})" for name in unknown]
    raise InputError(f"{function.__name__}() takes no {listed(told)}")


def _advice(name: str, known: list[str]) -> str:
    if name in _OTHERWISE:
        return f"instead: {_OTHERWISE[name]}"
    same = next((own for own, others in _SAME.items() if name in others and own in known), None)
    if same is not None:
        return f"its name here is {same}"
    close = did_you_mean(name, known).strip()
    return close or f"it takes {listed(known)}"

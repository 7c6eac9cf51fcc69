"""Small workflows for the tests, written for them."""

from __future__ import annotations

import json

QWEN = "qwen_image_edit_2511_bf16.safetensors"


def node(kind, title="", **inputs):
    """Return a node of a prompt; a pair is a link."""
    named = {"_meta": {"title": title}} if title else {}
    links = {
        name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()
    }
    return {"class_type": kind, "inputs": links, **named}


def qwen(**changes):
    """Return the prompt of an edit with Qwen-Image-Edit-2511 and one picture."""
    nodes = {
        "1": node("UNETLoader", unet_name=QWEN, weight_dtype="default"),
        "2": node("CLIPLoader", clip_name="qwen.safetensors", type="qwen_image"),
        "3": node("VAELoader", vae_name="vae.safetensors"),
        "4": node("LoadImage", image="photo.png"),
        "5": node(
            "TextEncodeQwenImageEditPlus", clip=("2", 0), vae=("3", 0), image1=("4", 0),
            prompt="make it night",
        ),
        "6": node(
            "TextEncodeQwenImageEditPlus", clip=("2", 0), vae=("3", 0), image1=("4", 0), prompt=""
        ),
        "7": node("VAEEncode", pixels=("9", 0), vae=("3", 0)),
        "8": node(
            "KSampler", model=("1", 0), positive=("5", 0), negative=("6", 0),
            latent_image=("7", 0), seed=7, steps=20, cfg=4.0, sampler_name="euler",
            scheduler="simple", denoise=1.0,
        ),
        "9": node("FluxKontextImageScale", image=("4", 0)),
        "10": node("VAEDecode", samples=("8", 0), vae=("3", 0)),
        "11": node("SaveImage", images=("10", 0), filename_prefix="out"),
    }  # fmt: skip
    return {**nodes, **changes}


def klein(positive, **nodes):
    """Return the prompt of an edit with FLUX.2 klein; ``positive`` brings what it is made from."""
    return {
        "1": node("UNETLoader", unet_name="flux-2-klein-4b.safetensors"),
        "2": node("CLIPLoader", clip_name="qwen.safetensors", type="flux2"),
        "3": node("VAELoader", vae_name="vae.safetensors"),
        "4": node("LoadImage", image="photo.png"),
        "5": node("CLIPTextEncode", clip=("2", 0), text="make it night"),
        "7": node("VAEEncode", pixels=("4", 0), vae=("3", 0)),
        "8": node(
            "SamplerCustomAdvanced", noise=("20", 0), guider=("21", 0), sampler=("22", 0),
            sigmas=("23", 0), latent_image=("24", 0),
        ),
        "11": node("SaveImage", images=("12", 0)),
        "12": node("VAEDecode", samples=("8", 0), vae=("3", 0)),
        "20": node("RandomNoise", noise_seed=5),
        "21": node("CFGGuider", model=("1", 0), positive=positive, negative=("25", 0), cfg=1),
        "22": node("KSamplerSelect", sampler_name="euler"),
        "23": node("Flux2Scheduler", steps=4, width=512, height=512),
        "24": node("EmptyFlux2LatentImage", width=512, height=512, batch_size=1),
        "25": node("ConditioningZeroOut", conditioning=("5", 0)),
        **nodes,
    }  # fmt: skip


def saved(nodes, links, **more):
    """Return a saved workflow; a node is ``(id, type, values, inputs, outputs[, mode])``.

    An input is a name with the number of its link, an output its type.
    """
    tables = []
    for number, kind, values, inputs, outputs, *mode in nodes:
        tables.append({
            "id": number,
            "type": kind,
            "widgets_values": values,
            "mode": mode[0] if mode else 0,
            "inputs": [
                {"name": name, "type": it[1], "link": it[0]} for name, it in inputs.items()
            ],
            "outputs": [{"name": it, "type": it} for it in outputs],
        })  # fmt: skip
    return {"nodes": tables, "links": links, **more}


def write(folder, data, name="flow.json"):
    """Write a workflow, and return its place."""
    place = folder / name
    place.write_text(json.dumps(data), encoding="utf-8")
    return place

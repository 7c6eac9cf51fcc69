"""A workflow becomes a strategy file and a command, whichever form it has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import flows
import pytest
from click.testing import CliRunner
from flows import node

import refhooks as rh
from refhooks.cli import main


def test_a_prompt_becomes_a_command_and_a_file(imports):
    """Picture, prompt, model, steps, seed and guidance are on the line, the picture in the file."""
    ran = imports(flows.qwen())

    assert ran.words == [
        "refhooks", "edit", "photo.png", "make it night", "--strategy", "flow.toml",
        "--model", "Qwen/Qwen-Image-Edit-2511", "--steps", "20", "--seed", "7", "--cfg", "4",
        "-o", "flow-edit.png",
    ]  # fmt: skip
    assert ran.strategy == '[[reference]]\nimage = "photo.png"\n'
    assert ran.status == 0


def test_the_command_works_as_it_is_printed(folder, imports):
    """With a model that is here, it makes the picture that the same edit makes in Python."""
    photo = rh.load_registry().models["toy"].samples()[0]
    (folder / "photo.png").write_bytes(photo.read_bytes())
    ran = imports(flows.qwen(), "--model", "toy")

    made = CliRunner().invoke(main, [*ran.words[1:], "--steps", "2"])

    assert made.exit_code == 0, made.stderr
    assert rh.load_recipe("flow-edit.png").prompt == "make it night"


def test_several_pictures_lora_shift_and_denoise(imports):
    """References in their order, LoRAs in that of loading."""
    ran = imports(
        flows.qwen(**{
            "12": node("LoadImage", image="sub/coat.png [input]"),
            "5": node(
                "TextEncodeQwenImageEditPlus", vae=("3", 0), image1=("4", 0), image2=("12", 0),
                prompt=("13", 0),
            ),
            "13": node("StringConcatenate", string_a="wear", string_b=("14", 0), delimiter=" "),
            "14": node("PrimitiveString", value="it's coat"),
            "15": node("LoraLoaderModelOnly", model=("1", 0), lora_name="a.safetensors",
                       strength_model=0.5),
            "16": node("LoraLoaderModelOnly", model=("15", 0), lora_name="b.safetensors",
                       strength_model=1),
            "17": node("ModelSamplingAuraFlow", model=("16", 0), shift=3.0),
            "8": node("KSampler", model=("17", 0), positive=("5", 0), negative=("6", 0),
                      latent_image=("7", 0), seed=7, steps=8, cfg=1, sampler_name="euler",
                      scheduler="simple", denoise=0.5),
        })
    )  # fmt: skip

    assert ran.words[2:4] == ["photo.png", "wear it's coat"]
    loras = [word for place, word in enumerate(ran.words) if ran.words[place - 1] == "--lora"]
    assert loras == ["a.safetensors:0.5", "b.safetensors:1"]
    assert (ran.option("--shift"), ran.option("--denoise")) == ("3", "0.5")
    assert [str(it.image) for it in rh.load_references("flow.toml")] == [
        "photo.png", "sub/coat.png"
    ]  # fmt: skip


def test_a_picture_size_of_empty_latents_and_a_count(imports):
    """They are the edit's own."""
    latent = node("EmptySD3LatentImage", width=1000, height=512, batch_size=3)
    ran = imports(flows.qwen(**{"7": latent}))

    assert (ran.option("--width"), ran.option("--height"), ran.option("-n")) == ("992", "512", "3")
    assert "differs: node 7 (EmptySD3LatentImage): 1000x512 is cut to multiples of 16" in ran.err


def test_saved_workflows_take_out_what_does_not_run(imports):
    """Muted and bypassed nodes, reroutes, notes and nodes that set and get by name."""
    ran = imports(
        flows.saved(
            [
                (1, "UNETLoader", [flows.QWEN, "default"], {}, ["MODEL"]),
                (2, "LoraLoaderModelOnly", ["x.safetensors", 1], {"model": (1, "MODEL")},
                 ["MODEL"], 4),
                (3, "VAELoader", ["vae.safetensors"], {}, ["VAE"]),
                (4, "LoadImage", ["photo.png", "image"], {}, ["IMAGE", "MASK"]),
                (5, "Reroute", None, {"": (2, "*")}, ["*"]),
                (6, "LoadImage", ["muted.png", "image"], {}, ["IMAGE", "MASK"], 2),
                (7, "TextEncodeQwenImageEditPlus", ["make it night"],
                 {"vae": (3, "VAE"), "image1": (4, "IMAGE"), "image2": (5, "IMAGE")},
                 ["CONDITIONING"]),
                (8, "KSampler", [9, "randomize", 20, 1.0, "euler", "simple", 1.0],
                 {"model": (6, "MODEL"), "positive": (7, "CONDITIONING"),
                  "latent_image": (8, "LATENT"), "steps": (11, "INT")}, ["LATENT"]),
                (9, "EmptyLatentImage", [64, 64, 1], {}, ["LATENT"]),
                (10, "SaveImage", ["x"], {"images": (9, "IMAGE")}, []),
                (11, "MarkdownNote", ["hello"], {}, []),
                (12, "PrimitiveNode", [12, "fixed"], {}, ["INT"]),
                (13, "SetNode", ["model"], {"MODEL": (12, "MODEL")}, ["*"]),
                (14, "GetNode", ["model"], {}, ["MODEL"]),
                (15, "VAEDecode", [], {"samples": (13, "LATENT")}, ["IMAGE"]),
            ],
            [
                [1, 1, 0, 2, 0, "MODEL"], [2, 4, 0, 5, 0, "IMAGE"], [3, 3, 0, 7, 0, "VAE"],
                [4, 5, 0, 7, 1, "IMAGE"], [5, 6, 0, 7, 2, "IMAGE"], [6, 14, 0, 8, 0, "MODEL"],
                [7, 7, 0, 8, 1, "CONDITIONING"], [8, 9, 0, 8, 2, "LATENT"],
                [9, 15, 0, 10, 0, "IMAGE"], [11, 12, 0, 8, 3, "INT"], [12, 2, 0, 13, 0, "MODEL"],
                [13, 8, 0, 15, 0, "LATENT"],
            ],
        )
    )  # fmt: skip

    assert ran.words[2:4] == ["photo.png", "make it night"]
    assert (ran.option("--steps"), ran.option("--seed"), ran.option("--lora")) == ("12", "9", None)
    assert ran.strategy.count("[[reference]]") == 1


def subgraph(values):
    """Return a saved workflow whose edit is a subgraph; ``values`` are its widgets'."""
    inside = flows.saved(
        [
            (1, "UNETLoader", [flows.QWEN, "default"], {}, ["MODEL"]),
            (2, "VAELoader", ["vae.safetensors"], {}, ["VAE"]),
            (3, "TextEncodeQwenImageEditPlus", ["inside"],
             {"vae": (1, "VAE"), "image1": (2, "IMAGE"), "prompt": (3, "STRING")},
             ["CONDITIONING"]),
            (4, "KSampler", [9, "fixed", 20, 1.0, "euler", "simple", 1.0],
             {"model": (4, "MODEL"), "positive": (5, "CONDITIONING"),
              "latent_image": (6, "LATENT")}, ["LATENT"]),
            (5, "EmptyLatentImage", [64, 64, 1], {}, ["LATENT"]),
            (6, "VAEDecode", [], {"samples": (7, "LATENT")}, ["IMAGE"]),
        ],
        [
            {"id": 1, "origin_id": 2, "origin_slot": 0, "target_id": 3, "target_slot": 0},
            {"id": 2, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 1},
            {"id": 3, "origin_id": -10, "origin_slot": 1, "target_id": 3, "target_slot": 2},
            {"id": 4, "origin_id": 1, "origin_slot": 0, "target_id": 4, "target_slot": 0},
            {"id": 5, "origin_id": 3, "origin_slot": 0, "target_id": 4, "target_slot": 1},
            {"id": 6, "origin_id": 5, "origin_slot": 0, "target_id": 4, "target_slot": 2},
            {"id": 7, "origin_id": 4, "origin_slot": 0, "target_id": 6, "target_slot": 0},
            {"id": 8, "origin_id": 6, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
        id="aa-bb",
    )  # fmt: skip
    inside["nodes"][2]["inputs"][2]["widget"] = {"name": "prompt"}
    inside["inputs"] = [
        {"name": "image", "type": "IMAGE", "linkIds": [2]},
        {"name": "text", "type": "STRING", "linkIds": [3]},
    ]
    return flows.saved(
        [
            (20, "LoadImage", ["photo.png", "image"], {}, ["IMAGE", "MASK"]),
            (21, "aa-bb", values, {"image": (1, "IMAGE"), "text": (None, "STRING")}, ["IMAGE"]),
            (22, "SaveImage", ["x"], {"images": (2, "IMAGE")}, []),
        ],
        [[1, 20, 0, 21, 0, "IMAGE"], [2, 21, 0, 22, 0, "IMAGE"]],
        definitions={"subgraphs": [inside]},
    )


@pytest.mark.parametrize(("values", "prompt"), [([], "inside"), (["outside"], "outside")])
def test_a_subgraph_is_read_with_the_values_of_where_it_stands(imports, values, prompt):
    """Its own widgets come before those inside."""
    ran = imports(subgraph(values))

    assert ran.words[2:4] == ["photo.png", prompt]
    assert "node 21:1 (UNETLoader)" in ran.err


def test_a_file_that_is_there_stays(imports, folder):
    """Unless it is forced; the workflow itself is never written over."""
    (folder / "flow.toml").write_text("mine")
    ran = imports(flows.qwen())
    assert ran.status == 2
    assert ran.err.startswith(
        "error: flow.toml is there; name another file with -o, or add --force\n"
    )
    assert ran.strategy == "mine"

    assert imports(flows.qwen(), "--force").status == 0
    assert imports(flows.qwen(), "-o", "flow.json", "--force").status == 2
    assert imports(flows.qwen(), "-o", "flow.txt").status == 2


def test_json_has_all_of_it(imports):
    """The command as words, the notes by node."""
    ran = imports(flows.qwen(**{"9": node("ImageScaleBy", "Half", image=("4", 0))}), "--json")
    data = json.loads(ran.out)

    assert data["form"] == "prompt"
    assert data["command"][:3] == ["refhooks", "edit", "photo.png"]
    assert data["strategy"] == "flow.toml"
    scaled = next(note for note in data["notes"] if note["node"] == "9")
    assert (scaled["kind"], scaled["type"], scaled["title"]) == ("no equal", "ImageScaleBy", "Half")


def test_folders_of_comfyui_and_of_the_file(imports, folder):
    """Pictures lie beside the strategy file, or where ComfyUI has them; so do LoRAs."""
    lora = node("LoraLoaderModelOnly", model=("1", 0), lora_name="a.safetensors", strength_model=1)
    flow = flows.qwen(**{"12": lora})
    flow["8"]["inputs"]["model"] = ["12", 0]
    (folder / "made").mkdir()

    ran = imports(flow, "-o", "made/flow.toml")
    assert (ran.words[2], ran.option("--lora")) == ("made/photo.png", "a.safetensors:1")
    assert 'image = "photo.png"' in (folder / "made" / "flow.toml").read_text()

    ran = imports(flow, "--comfyui", "../Comfy UI")
    assert ran.words[2] == "../Comfy UI/input/photo.png"
    assert ran.option("--lora") == "../Comfy UI/models/loras/a.safetensors:1"
    assert "'../Comfy UI/input/photo.png'" in ran.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_what_a_shell_would_obey_is_quoted(imports):
    """A prompt that holds quotes, a line break, an escape sequence, and begins as an option."""
    prompt = "-o x; $(touch pwned) `id` 'a' \"b\" \\\n\x1b[2J\u202e\u00e9nd"
    flow = flows.qwen()
    flow["5"]["inputs"]["prompt"] = prompt
    ran = imports(flow)

    assert ran.out.rstrip("\n").isprintable()
    asked = ran.out.replace("refhooks edit", "printf '%s\\0'", 1)
    environment = {**os.environ, "LC_ALL": "C"}
    said = subprocess.run(["bash", "-c", asked], capture_output=True, env=environment, check=True)
    words = said.stdout.decode().split("\0")
    assert words[-4:] == ["--", "photo.png", prompt, ""]
    assert not (ran.folder / "pwned").exists()

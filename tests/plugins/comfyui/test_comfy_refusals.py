"""A workflow that is no edit is refused by what it makes; what is missing is said in a sentence."""

from __future__ import annotations

import flows
import pytest
from flows import node


def first(ran):
    """Return the line of the error of an import that was refused."""
    assert ran.status == 2, ran.out + ran.err
    assert not (ran.folder / "flow.toml").exists()
    return ran.err.splitlines()[0].removeprefix("error: flow.json cannot be imported: ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"4": node("SolidColor"), "5": node("CLIPTextEncode", text="a cat"),
          "7": node("EmptyLatentImage", width=64, height=64)},
         "it makes a picture from a prompt alone (node 8 (KSampler)): no picture steers it"),
        ({"11": node("SaveVideo", video=("10", 0))},
         "it makes a video (node 11 (SaveVideo)), and no edit of a picture"),
        ({"11": node("SaveAudio", audio=("10", 0))},
         "it makes sound (node 11 (SaveAudio)), and no edit of a picture"),
        ({"11": node("SaveGLB", mesh=("10", 0))},
         "it makes a 3D model (node 11 (SaveGLB)), and no edit of a picture"),
        ({"10": node("Gemini", images=("4", 0))},
         "it makes a picture by node 10 (Gemini), without a sampler: no model of yours edits"),
        ({"1": node("UNETLoader", unet_name="omnigen2"),
          "2": node("CLIPLoader", type="omnigen2")},
         "its model is 'omnigen2' (node 1 (UNETLoader)), which refhooks has no family for"),
        ({"1": node("UNETLoader", unet_name="ming_image_01")},
         "its model is 'ming_image_01' (node 1 (UNETLoader)), which refhooks has no family for"),
        ({"5": node("TextEncodeNew", image=("4", 0))},
         "node 5 (TextEncodeNew) makes the prompt's encoding in a way that is not known here"),
        ({"4": node("LoadImage", image=" ")}, "node 4 (LoadImage) names no file"),
    ],
)  # fmt: skip
def test_what_is_refused(imports, changes, said):
    """By what it makes, or the node that is in the way."""
    assert first(imports(flows.qwen(**changes))) == said


def test_several_samplers_are_named(imports):
    """``--node`` says which, by its own number or that of a node after it."""
    flow = flows.qwen(**{
        "12": node("KSampler", "Second", model=("1", 0), positive=("5", 0), negative=("6", 0),
                   latent_image=("8", 0), seed=8, steps=5, cfg=1, sampler_name="euler",
                   scheduler="simple", denoise=0.3),
        "13": node("VAEDecode", samples=("12", 0)),
        "14": node("SaveImage", images=("13", 0)),
    })  # fmt: skip
    said = first(imports(flow))
    assert said.startswith("it makes 2 pictures one after another or beside each other; name the")
    assert "node 8 (KSampler)" in said
    assert "node 12 (KSampler, 'Second')" in said

    assert imports(flow, "--node", "11").option("--seed") == "7"
    ran = imports(flow, "--node", "12", "--force")
    assert ran.option("--seed") == "8"
    assert "to do: node 8 (KSampler): save the picture of the latents" in ran.err
    assert "there is no node '99'" in imports(flow, "--node", "99", "--force").err
    assert "is none of its samplers" in imports(flow, "--node", "4", "--force").err


def test_a_prompt_that_is_made_when_it_runs(imports):
    """It can be given."""
    flow = flows.qwen(**{"12": node("TextGenerate", image=("4", 0))})
    flow["5"]["inputs"]["prompt"] = ["12", 0]
    assert first(imports(flow)) == (
        "the prompt is made by node 12 (TextGenerate) when the workflow runs; give it with --prompt"
        " TEXT"
    )
    assert imports(flow, "--prompt", "make it day").words[3] == "make it day"


def test_a_model_whose_name_says_nothing(imports):
    """It is left to the user, in the command and in a line."""
    ran = imports(flows.qwen(**{"1": node("UNETLoader", unet_name="mine_v5.safetensors")}))
    assert ran.option("--model") == "MODEL"
    assert "to do: node 1 (UNETLoader): put the folder or repository of the model" in ran.err

    flow = flows.qwen(**{
        "1": node("UNETLoader", unet_name="mine_v5.safetensors"),
        "5": node("CLIPTextEncode", text="make it night"),
    })  # fmt: skip
    flow["8"]["inputs"]["denoise"] = 0.5
    ran = imports(flow, "--force")
    assert ran.status == 2
    assert "its picture is no reference: node 8 (KSampler) starts from it, and" in ran.err
    ran = imports(flow, "--model", "Qwen/Qwen-Image-Edit-2511", "--force")
    assert ran.option("--denoise") == "0.5"
    assert "strength = 0.0" in ran.strategy

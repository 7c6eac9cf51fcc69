"""A stranger's workflow stays data, whatever is in it."""

from __future__ import annotations

import json
import time

import flows
import pytest
from flows import node
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refhooks import InputError
from refhooks_comfyui._files import find_workflow
from refhooks_comfyui._imported import Wishes, import_graph


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is not valid JSON"),
        ("[1, 2]", "the file is no workflow: it holds a list, no table"),
        ("{}", "the file is no workflow: it has neither nodes nor a table of class_types"),
        ("[" * 100_000, "the file is nested deeper than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "the file is nested deeper than 64 levels"),
        ('{"a": ' + "9" * 5000 + "}", "the file is not valid JSON"),
        ('{"1": {"class_type": 3, "inputs": {}}}', "node '1' has no class_type that is a text"),
        ('{"1": {"class_type": "A", "inputs": []}}', "node '1' has no class_type that is a text"),
        ('{"nodes": [{"id": 1, "type": [1]}]}', "node '1' has no type that is a text"),
        (" " * (8 * 2**20 + 1), "the file is larger than 8 MiB"),
    ],
    ids=["empty", "list", "table", "deep", "deep tables", "number", "class", "inputs", "type",
         "size"],
)  # fmt: skip
def test_what_is_no_workflow(imports, text, said):
    """Is refused in a sentence."""
    ran = imports(text)

    assert ran.status == 2
    assert f"flow.json cannot be imported: {said}" in ran.err


def test_there_are_caps(imports):
    """On nodes, links, and how many nodes follow on each other."""
    many = {str(it): node("A") for it in range(5001)}
    assert "it has 5001 nodes; at most 5000 are read" in imports(many).err
    wide = {"0": node("A"), "1": node("B", **{f"i{it}": ("0", 0) for it in range(20_001)})}
    assert "it has 20001 links; at most 20000 are read" in imports(wide).err
    long = {"0": node("A"), **{str(it): node("B", x=(str(it - 1), 0)) for it in range(1, 300)}}
    assert "more than 200 of its nodes follow on each other" in imports(long).err


def test_circles_are_found(imports):
    """Of links, of reroutes, of subgraphs."""
    flow = flows.qwen()
    flow["1"] = node("ModelSamplingAuraFlow", model=("12", 0), shift=1)
    flow["12"] = node("CFGNorm", model=("1", 0))
    assert "its links form a circle, at node 1 (ModelSamplingAuraFlow)" in imports(flow).err

    reroutes = flows.saved(
        [
            (1, "Reroute", None, {"": (1, "*")}, ["*"]),
            (2, "SaveImage", [], {"images": (2, "*")}, []),
        ],
        [[1, 1, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "*"]],
    )  # fmt: skip
    assert "its links form a circle" in imports(reroutes).err

    inside = flows.saved([(1, "me", [], {}, []), (2, "A", [], {}, [])], [], id="me")
    itself = flows.saved([(1, "me", [], {}, [])], [], definitions={"subgraphs": [inside]})
    assert "its subgraphs stand in each other more than 12 deep" in imports(itself).err


def test_what_doubles_again_and_again_ends_at_once(imports):
    """Subgraphs in subgraphs, texts of texts, prompts of prompts."""
    levels = [
        flows.saved([(it, f"s{level + 1}", [], {}, []) for it in range(10)], [], id=f"s{level}")
        for level in range(9)
    ]
    started = time.monotonic()
    bomb = flows.saved([(1, "s0", [], {}, [])], [], definitions={"subgraphs": levels})
    assert "nodes; at most 5000 are read" in imports(bomb).err

    for text in ("", "word"):
        flow = flows.qwen(**{"100": node("PrimitiveString", value=text)})
        for it in range(101, 190):
            before = (str(it - 1), 0)
            flow[str(it)] = node("StringConcatenate", string_a=before, string_b=before)
        flow["5"]["inputs"]["prompt"] = ["189", 0]
        imports(flow, "--force")
    flow = flows.qwen(**{"100": node("CLIPTextEncode", text="")})
    for it in range(101, 190):
        before = (str(it - 1), 0)
        flow[str(it)] = node("ConditioningCombine", conditioning_1=before, conditioning_2=before)
    flow["8"]["inputs"]["positive"] = ["189", 0]
    assert "joins more than 16 prompts" in imports(flow, "--force").err
    del flow["100"]
    imports(flow, "--force")
    assert time.monotonic() - started < 60  # not for ever


def test_no_path_is_opened_and_none_leads_out(imports, folder):
    """A name stays in its folder; nothing in it is looked at."""
    for name in ("/etc/passwd", "../../secret.png", "C:\\Windows\\x.png", "a/../../x.png"):
        ran = imports(flows.qwen(**{"4": node("LoadImage", image=name)}), "--force")
        assert "/" not in ran.words[2], name
        assert "\\" not in ran.words[2], name
        assert "of the path" in ran.err
    (folder / "photo.png").mkdir()  # opening it would fail
    assert imports(flows.qwen(), "--force").status == 0


@pytest.mark.parametrize(
    "name", ["..", "/", "a\x1bb.png", "a\0b.png", "x\ud800.png", "\u202ea.png"]
)
def test_names_that_no_file_should_have(imports, name):
    """Are refused, not printed."""
    ran = imports(flows.qwen(**{"4": node("LoadImage", image=name)}))

    assert ran.status == 2
    assert "node 4 (LoadImage) names" in ran.err


def test_no_escape_sequence_is_printed(imports):
    """In types, titles, ids, names of methods and samplers."""
    evil = "\x1b]0;pwned\x07\u202e"
    flow = flows.qwen(**{
        evil: node(f"A{evil}", evil, model=("1", 0)),
        "13": node("FluxKontextMultiReferenceLatentMethod", evil, conditioning=("5", 0),
                   reference_latents_method=evil),
    })  # fmt: skip
    flow["8"]["inputs"] |= {"model": [evil, 0], "positive": ["13", 0], "sampler_name": evil,
                            "scheduler": evil}  # fmt: skip
    ran = imports(flow)

    assert ran.status == 0
    for line in [*ran.out.splitlines(), *ran.err.splitlines()]:
        assert line.isprintable(), line
    assert json.loads(imports(flow, "--json", "--force").out)


def check_ends_well(place):
    """Import a workflow, which may be refused, in a sentence; nothing else may be raised."""
    said = ""
    try:
        import_graph(find_workflow(place).graph, Wishes())
    except InputError as error:
        said = str(error)
    assert said == "" or said.isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["1", "5", "7", "8", 0, 1, -1, 2**70, 10**400]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow,
          HealthCheck.function_scoped_fixture])  # fmt: skip
def test_anything_in_the_place_of_anything(tmp_path, data):
    """It is imported, or refused in a sentence; nothing else is raised."""
    flow = flows.klein(("30", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "30": node("ReferenceLatentPlus", conditioning=("31", 0), image_1=("4", 0),
                   mask_1=("4", 1), image1_strength=0.5),
        "31": node("ConditioningSetTimestepRange", conditioning=("6", 0), start=0.1, end=0.6),
        "9": node("ModelSamplingFlux", model=("1", 0), max_shift=1.15, base_shift=0.5, width=64,
                  height=64),
    })  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(sorted(flow)))
        names = sorted(flow[key]["inputs"]) or ["x"]
        flow[key]["inputs"][data.draw(st.sampled_from(names))] = data.draw(VALUES)
    place = flows.write(tmp_path, flow)
    check_ends_well(place)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow,
          HealthCheck.function_scoped_fixture])  # fmt: skip
def test_anything_in_a_saved_workflow(tmp_path, data):
    """Likewise for its nodes, inputs, links and subgraphs."""
    inside = flows.saved([(1, "A", [], {"x": (1, "X")}, ["X"])], [[1, -10, 0, 1, 0, "X"]], id="s",
                         inputs=[{"name": "x", "linkIds": [1]}])  # fmt: skip
    flow = flows.saved(
        [(1, "s", [1], {"x": (1, "X")}, ["X"]), (2, "LoadImage", ["a.png"], {}, ["X"], 4),
         (3, "GetNode", ["a"], {}, ["X"]), (4, "KSampler", [1], {"model": (2, "X")}, [])],
        [[1, 2, 0, 1, 0, "X"], [2, 3, 0, 4, 0, "X"]],
        definitions={"subgraphs": [inside]},
    )  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        place = flow
        while data.draw(st.booleans()) or place is flow:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                place[key] = data.draw(VALUES)
                break
            place = place[key]
    place = flows.write(tmp_path, flow)
    check_ends_well(place)

"""The sampler of a workflow: which one is meant, and what its settings are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError

if TYPE_CHECKING:
    from refhooks_comfyui._graph import Graph, Node
    from refhooks_comfyui._reading import Reading

SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
# What nodes that save or show are called, and what comes out of them.
OUTPUTS = (
    (("Video", "WEBM", "AnimatedWEBP", "VHS_"), "a video"),
    (("Audio",), "sound"),
    (("GLB", "3D", "Mesh", "Splat"), "a 3D model"),
)
MAX_SEED = 2**63 - 1
MAX_LISTED = 8
_OWN = ("simple", "Flux2Scheduler")  # noise levels that are the model's, shifted


@attrs.frozen
class Sampling:
    """What a sampler was set to.

    Attributes:
        sampler: Its node.
        positive: What brings the prompt.
        negative: What brings the prompt that guidance moves away from.
        model: What brings the model.
        latent: What it starts from.
        seed: Of its noise.
        steps: That are taken.
        cfg: Scale of the second pass; ``None``: there is none.
        denoise: How far back to noise.
        levels: Name of its noise levels.
    """

    sampler: Node
    positive: Any
    negative: Any
    model: Any
    latent: Any
    seed: int | None = None
    steps: int | None = None
    cfg: float | None = None
    denoise: float = 1.0
    levels: str = ""


def choose(graph: Graph, node: str | None) -> Node:
    """Return the sampler that is meant.

    Args:
        graph: The workflow.
        node: Its id, or that of a node after it; ``None``: there is one.

    Raises:
        InputError: There is none, or several and none is named.
    """
    if node is not None:
        return _named(graph, node)
    ends = _ends(graph)
    _check_kind(graph, ends)
    found = [it for it in graph.ancestors(ends).values() if it.type in SAMPLERS]
    if not found:
        raise InputError(_what_instead(graph))
    if len(found) > 1:
        listed = ", ".join(str(it) for it in found[:MAX_LISTED])
        more = f" and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
        raise InputError(
            f"it makes {len(found)} pictures one after another or beside each other; name the one"
            f" that is meant with --node: {listed}{more}"
        )
    return found[0]


def _ends(graph: Graph) -> list[Node]:
    """The nodes for which it is run: not those that show, nor samplers whose latents go nowhere."""
    sinks = graph.sinks()
    kept = [it for it in sinks if it.type not in SAMPLERS and not it.type.startswith("Preview")]
    return kept or sinks


def _named(graph: Graph, node: str) -> Node:
    if node not in graph.nodes:
        raise InputError(f"there is no node {node[:80]!r} that runs")
    waiting, found = [graph.nodes[node]], []
    seen: set[str] = set()
    while waiting:  # the nearest samplers before it
        it = waiting.pop()
        if it.id in seen:
            continue
        seen.add(it.id)
        if it.type in SAMPLERS:
            found.append(it)
        else:
            waiting += graph.before(it)
    if len(found) != 1:
        raise InputError(f"{graph.nodes[node]} is none of its samplers, and not after one alone")
    return found[0]


def _check_kind(graph: Graph, ends: list[Node]) -> None:
    """Videos, sounds and 3D models are made by samplers too."""
    for it in graph.ancestors(ends).values():
        if not it.type.startswith(("Save", "Preview", "Create", "VHS_")):
            continue
        for words, what in OUTPUTS:
            if any(word in it.type for word in words):
                raise InputError(f"it makes {what} ({it}), and no edit of a picture")


def _what_instead(graph: Graph) -> str:
    """What a workflow without a sampler makes, and by which node."""
    ends = [it for it in graph.nodes.values() if it.type.startswith(("Save", "Preview"))]
    ends.sort(key=lambda it: ("Image" not in it.type, it.type.startswith("Preview")))
    for it in ends:
        makers = graph.before(it)
        if makers:
            what = "a picture" if "Image" in it.type else "a text or another value"
            return f"it makes {what} by {makers[0]}, without a sampler: no model of yours edits"
    return "it has no sampler: no model of yours edits"


def settings(node: Node, reading: Reading) -> Sampling:
    """Return what a sampler was set to; what has no equal is noted."""
    reading.notes.read([node])
    if node.type == "SamplerCustomAdvanced":
        return _advanced(node, reading)
    given = node.inputs.get
    read = Sampling(
        node, given("positive"), given("negative"), given("model"), given("latent_image")
    )
    cfg = reading.number(node, "cfg")
    if node.type == "SamplerCustom":
        _check_sampler(reading, reading.node(node.inputs.get("sampler")) or node)
        read = attrs.evolve(read, cfg=cfg, seed=_seed(node, "noise_seed", reading))
        return _with_sigmas(read, reading.node(node.inputs.get("sigmas")), reading)
    _check_sampler(reading, node)
    seed = _seed(node, "seed" if node.type == "KSampler" else "noise_seed", reading)
    levels = str(reading.follow(node.inputs.get("scheduler")))
    steps = reading.whole(node, "steps")
    read = attrs.evolve(read, cfg=cfg, seed=seed, steps=steps, levels=levels)
    if node.type == "KSampler":
        return attrs.evolve(read, denoise=reading.number(node, "denoise", 1.0) or 1.0)
    return _part(read, node, reading)


def _part(read: Sampling, node: Node, reading: Reading) -> Sampling:
    """KSamplerAdvanced: some steps of a schedule; its last ones are a denoise."""
    steps = read.steps or 1
    start = min(max(reading.whole(node, "start_at_step") or 0, 0), steps - 1)
    end = reading.whole(node, "end_at_step")
    if end is not None and end < steps:
        reading.notes.none(node, f"it ends at step {end} of {steps}; an edit here runs to the end")
    if node.inputs.get("add_noise") == "disable":
        reading.notes.none(node, "it adds no noise to what it starts from; an edit here does")
    return attrs.evolve(read, steps=steps - start, denoise=(steps - start) / steps)


def _advanced(node: Node, reading: Reading) -> Sampling:
    noise = reading.node(node.inputs.get("noise"))
    guider = reading.node(node.inputs.get("guider"))
    if guider is None:
        raise InputError(f"{node} has no guider")
    names = {"CFGGuider": ("positive", "negative"), "BasicGuider": ("conditioning", ""),
             "DualCFGGuider": ("cond1", "negative")}  # fmt: skip
    positive, negative = names.get(guider.type, ("positive", "negative"))
    if guider.type not in names:
        reading.notes.none(guider, "how it guides is not known here; plain guidance is taken")
    if guider.type == "DualCFGGuider":
        reading.notes.none(guider, "two guidance scales; here there is one, that of the prompt")
    cfg = reading.number(guider, "cfg_conds" if guider.type == "DualCFGGuider" else "cfg")
    read = Sampling(
        node, guider.inputs.get(positive), guider.inputs.get(negative), guider.inputs.get("model"),
        node.inputs.get("latent_image"), cfg=cfg,
    )  # fmt: skip
    _check_sampler(reading, reading.node(node.inputs.get("sampler")) or node)
    if noise is not None:
        read = attrs.evolve(read, seed=_seed(noise, "noise_seed", reading))
    return _with_sigmas(read, reading.node(node.inputs.get("sigmas")), reading)


def _with_sigmas(read: Sampling, node: Node | None, reading: Reading) -> Sampling:
    if node is None:
        return read
    if node.type in {"BasicScheduler", "Flux2Scheduler"}:
        named = reading.follow(node.inputs.get("scheduler"))
        levels = node.type if node.type == "Flux2Scheduler" else str(named)
        denoise = reading.number(node, "denoise", 1.0) or 1.0
        return attrs.evolve(
            read, steps=reading.whole(node, "steps"), denoise=denoise, levels=levels
        )
    if node.type == "ManualSigmas":
        text = reading.text(node.inputs.get("sigmas"))
        count = text.count(",") if isinstance(text, str) else 0
        return attrs.evolve(read, steps=count or None, levels=node.type)
    if node.type == "SplitSigmasDenoise":
        inner = _with_sigmas(read, reading.node(node.inputs.get("sigmas")), reading)
        part = reading.number(node, "denoise", 1.0) or 1.0
        steps = None if inner.steps is None else max(round(inner.steps * part), 1)
        return attrs.evolve(inner, steps=steps, denoise=part)
    reading.notes.none(node, "how it makes noise levels is not known here; the model's own are"
                       " taken, and --steps is left to you")  # fmt: skip
    return read


def note_levels(read: Sampling, reading: Reading, shift: float | None) -> None:
    """Say where noise levels are not those of the workflow."""
    if not read.levels or read.levels in _OWN or read.levels == "ManualSigmas":
        return
    name = read.levels[:80]
    reading.notes.none(read.sampler, f"the noise levels {name!r}; here they are the model's own"
                       + (f", shifted by {shift:g}" if shift else ""))  # fmt: skip


def _check_sampler(reading: Reading, node: Node) -> None:
    name = reading.follow(node.inputs.get("sampler_name"))
    kind = name if isinstance(name, str) else node.type
    if kind not in {"euler", "SamplerEuler"}:
        reading.notes.none(node, f"the sampler {kind[:80]!r}; refhooks samples with Euler")


def _seed(node: Node, name: str, reading: Reading) -> int | None:
    seed = reading.whole(node, name)
    if seed is not None and not 0 <= seed <= MAX_SEED:
        reading.notes.none(node, f"the seed {seed}; seeds here go from 0 to {MAX_SEED}")
        return None
    return seed

"""A workflow as an edit of refhooks: references, options of a command, and what there is to say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from refhooks import InputError, Reference, Stage, Strategy, load_registry
from refhooks_comfyui._checkpoints import UNKNOWN
from refhooks_comfyui._conditioning import branches_of
from refhooks_comfyui._graph import Node
from refhooks_comfyui._leftovers import note_leftovers
from refhooks_comfyui._model import Patched, check_model, model_of
from refhooks_comfyui._notes import NONE
from refhooks_comfyui._positions import NATIVE
from refhooks_comfyui._reading import LOADERS, Reading
from refhooks_comfyui._sampling import SAMPLERS, choose, note_levels, settings
from refhooks_comfyui._start import Start, start_of
from refhooks_comfyui._strategy import Maker, checkpoint_notes, turned

if TYPE_CHECKING:
    from refhooks_comfyui._conditioning import Branch
    from refhooks_comfyui._graph import Graph
    from refhooks_comfyui._notes import Note
    from refhooks_comfyui._sampling import Sampling

MULTIPLE = 16
MAX_LISTED = 5
_ALONE = "it makes a picture from a prompt alone ({}): no picture steers it"


@attrs.frozen
class Wishes:
    """What the user says beside the workflow.

    Attributes:
        node: The sampler that is meant, or a node after it.
        prompt: In place of the workflow's.
        model: In place of what its weights are taken for.
        pictures: Folder of its pictures.
        loras: Folder of its LoRAs; ``None``: the working folder.
    """

    node: str | None = None
    prompt: str | None = None
    model: str | None = None
    pictures: Path = Path()
    loras: Path | None = None


@attrs.frozen
class Imported:
    """An edit.

    Attributes:
        references: With their strategies; the first is the source.
        prompt: What is to be done.
        options: Of the command, name and value.
        model: What its checkpoint is called.
        notes: What there is to say.
    """

    references: tuple[Reference, ...]
    prompt: str
    options: tuple[tuple[str, str], ...]
    model: str
    notes: tuple[Note, ...]


def import_graph(graph: Graph, wishes: Wishes) -> Imported:
    """Return the edit that a workflow makes.

    Raises:
        InputError: It makes none, or something is missing; the message says what.
    """
    reading = Reading(graph)
    sampling = settings(choose(graph, wishes.node), reading)
    patched = model_of(sampling.model, reading)
    before = list(graph.ancestors([sampling.sampler]).values())
    if not any(
        node.type in (*LOADERS, *SAMPLERS) and node is not sampling.sampler for node in before
    ):
        raise InputError(_ALONE.format(sampling.sampler))
    if wishes.model is None:
        check_model(patched, before)
    branches = branches_of(sampling.positive, reading)
    start = start_of(sampling.latent, reading)
    maker = Maker(reading, sampling, patched, load_registry(), wishes.pictures)
    references = maker.references(branches) or _from_picture(
        sampling, start, patched, wishes, reading
    )
    prompt = _prompt(branches, wishes)
    options = [
        ("--model", wishes.model or patched.checkpoint.repository or "MODEL"),
        *_loras(patched, wishes),
        *_mask(start, maker),
        *_steps(sampling, patched, reading),
        *_guidance(sampling, branches, patched, reading),
        *_size(start, references[0], wishes, reading),
    ]
    if start.picture is not None and sampling.denoise < 1.0:
        _check_start(start, references[0], wishes, reading)
    if wishes.model is None:
        checkpoint_notes(patched.checkpoint, patched, reading)
    note_levels(sampling, reading, patched.shift)
    note_leftovers(reading, sampling)
    notes = tuple(reading.notes.entries)
    return Imported(tuple(references), prompt, tuple(options), patched.checkpoint.name, notes)


def _from_picture(
    sampling: Sampling, start: Start, patched: Patched, wishes: Wishes, reading: Reading
) -> list[Reference]:
    """No picture goes with the prompt: an edit only if it starts from one."""
    if start.picture is None:
        nodes = [it.label for it in reading.notes.entries if it.kind == NONE][:MAX_LISTED]
        raise InputError(
            f"no picture goes to its prompt ({sampling.sampler}) in a way that is known here; not"
            f" known: {', '.join(nodes) or 'nothing'}"
        )
    if patched.checkpoint is UNKNOWN and wishes.model is None:
        raise InputError(
            f"its picture is no reference: {sampling.sampler} starts from it, and"
            f" {patched.weights[:200]!r} is not known as a model that edits; name one with --model"
        )
    none = Strategy(Stage(NATIVE, 0.0))
    return [Reference(wishes.pictures / start.picture.file, none)]


def _prompt(branches: tuple[Branch, ...], wishes: Wishes) -> str:
    if wishes.prompt is not None:
        return wishes.prompt
    text = branches[0].text if branches else ""
    if isinstance(text, Node):
        raise InputError(
            f"the prompt is made by {text} when the workflow runs; give it with --prompt TEXT"
        )
    return text


def _loras(patched: Patched, wishes: Wishes) -> list[tuple[str, str]]:
    folder = wishes.loras or Path()
    found = [("--lora", f"{folder / file}:{scale:g}") for file, scale in patched.loras]
    shift = [] if patched.shift is None else [("--shift", f"{patched.shift:g}")]
    return [*found, *shift]


def _mask(start: Start, maker: Maker) -> list[tuple[str, str]]:
    """What is white on the command line may change; transparency needs a picture of its own."""
    if start.mask is None:
        return []
    if start.mask.alpha and start.node is not None:
        name = f"{Path(start.mask.file).stem}-mask.png"
        maker.reading.notes.todo(start.node, "an edit mask that is what is"
                                 f" {'opaque' if start.mask.invert else 'transparent'} in"
                                 f" {start.mask.file!r}: save that as {name!r}, white on black"
                                )  # fmt: skip
        return [("--edit-mask", str(maker.folder / name))]
    turn = [("--invert-masks", "")] if turned(start.mask) else []
    return [("--edit-mask", str(maker.folder / start.mask.file)), *turn]


def _steps(sampling: Sampling, patched: Patched, reading: Reading) -> list[tuple[str, str]]:
    found = []
    if patched.checkpoint.own_steps:
        reading.notes.near(sampling.sampler, f"{patched.checkpoint.name} has its own noise levels"
                           " and number of steps")  # fmt: skip
    elif sampling.steps is not None:
        found.append(("--steps", str(sampling.steps)))
    if sampling.denoise < 1.0:
        found.append(("--denoise", f"{max(sampling.denoise, 0.0001):.6g}"))
    if sampling.seed is not None:
        found.append(("--seed", str(sampling.seed)))
    return found


def _guidance(
    sampling: Sampling, branches: tuple[Branch, ...], patched: Patched, reading: Reading
) -> list[tuple[str, str]]:
    kind, cfg = patched.checkpoint.guidance, sampling.cfg
    given = next((it.guidance for it in branches if it.guidance is not None), None)
    second = cfg is not None and cfg > 1.0
    if kind == "embedded" or (kind == "unknown" and given is not None and not second):
        if second:
            reading.notes.none(sampling.sampler, f"a second pass at {cfg:g} beside embedded"
                               " guidance")  # fmt: skip
        return [] if given is None else [("--cfg", f"{given[0]:g}")]
    if given is not None:
        reading.notes.none(given[1], f"{patched.checkpoint.name} has no embedded guidance")
    if kind == "none":
        if second:
            reading.notes.none(sampling.sampler, f"cfg {cfg:g}; {patched.checkpoint.name} is"
                               " distilled, and takes none")  # fmt: skip
        return []
    found = [] if cfg is None else [("--cfg", f"{cfg:g}")]
    if not second:
        return found  # nothing reads the negative prompt
    _note_norm(sampling, patched, reading)
    return [*found, *_negative(sampling, branches, patched, reading)]


def _note_norm(sampling: Sampling, patched: Patched, reading: Reading) -> None:
    """Qwen-Image-Edit's pipelines always give the guided prediction the norm of the prompt's."""
    if patched.norm is None and patched.checkpoint.qwen:
        reading.notes.near(sampling.sampler, "guidance is not brought back to the norm of the"
                           " prompt's prediction there; here it is, as by CFGNorm")  # fmt: skip
    elif patched.norm not in {None, 1.0}:
        reading.notes.none(sampling.sampler, f"CFGNorm at {patched.norm:g}; here it is 1")


def _negative(
    sampling: Sampling, branches: tuple[Branch, ...], patched: Patched, reading: Reading
) -> list[tuple[str, str]]:
    found = branches_of(sampling.negative, reading)
    if not found:
        return []
    if len(found[0].shown) != len(branches[0].shown):
        reading.notes.near(sampling.sampler, "the prompt and the negative prompt have other"
                           " pictures there; here they have the same")  # fmt: skip
    text = found[0].text
    if isinstance(text, Node):
        reading.notes.none(text, "it makes the negative prompt when the workflow runs")
        return []
    if found[0].zeroed:
        reading.notes.near(sampling.sampler, "the negative prompt's encoding is zeros there; here"
                           " it is that of a blank text")  # fmt: skip
        return []
    return [("--negative", text)] if text.strip() or not patched.checkpoint.vision else []


def _size(
    start: Start, source: Reference, wishes: Wishes, reading: Reading
) -> list[tuple[str, str]]:
    count = [("-n", str(start.count))] if start.count > 1 else []
    if start.width is not None and start.height is not None and start.node is not None:
        sizes = [max(it // MULTIPLE, 1) * MULTIPLE for it in (start.width, start.height)]
        if sizes != [start.width, start.height]:
            reading.notes.near(start.node, f"{start.width}x{start.height} is cut to multiples of"
                               f" {MULTIPLE}")  # fmt: skip
        return [("--width", str(sizes[0])), ("--height", str(sizes[1])), *count]
    if start.like is None or start.node is None:
        return count
    if wishes.pictures / start.like.file != source.image:
        text = f"the output has the size of {start.like.file!r} there, here of the first picture"
        reading.notes.near(start.node, f"{text}; give --width and --height")
        return count
    area = start.like.area
    if area == 0:
        return count
    return [("--resolution", "native" if area is None else str(area)), *count]


def _check_start(start: Start, source: Reference, wishes: Wishes, reading: Reading) -> None:
    if start.picture is None or start.node is None:
        return
    if wishes.pictures / start.picture.file != source.image:
        reading.notes.none(start.node, f"it starts from {start.picture.file!r}; an edit here starts"
                           " from its first picture")  # fmt: skip

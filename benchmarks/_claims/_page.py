"""docs/evidence.md and the pages behind it, from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from _claims._functions import needs
from _claims._monotone import section as monotone_section
from _claims._monotone import table
from _claims._rules import RULE
from _claims._seen import CONTRADICTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from _claims._monotone import Strength
    from _claims._read import Monotone
    from _claims._rules import Finding, Verdict

VERDICTS = ("holds", "in part", "does not hold", "not testable")
SPEAKS = {"yes": "for", "no": "against", "unclear": "neither", "too few": "–"}
MADE = "<!-- Written by `python benchmarks/claims.py page` from their figures; not by hand. -->"
CURVES = ("evidence-responses.png", "evidence-tradeoff.png")

PROVES = """\
refhooks started from a text of unknown authorship on reference latents, our *source notes*, which
say what each method and strength does. Here each of their statements is measured on the embedded
model: a tiny model of a small world, in which the right answer of every edit is known.

**What that proves.** Whether a statement follows from how these methods work, in a model of the
same architecture: the pipeline, the transformer's class, the guidance and the code of refhooks
are those that run Qwen-Image-Edit. A statement that is said to be general and fails here is not
general.

**What it does not prove.** Anything about how good Qwen-Image-Edit is at a strength, or where its
best strength lies: 20 billion parameters trained on photographs learnt other things than this
model did from drawings of 64 pixels. *Holds* and *does not hold* mean: on toy. The same command
runs on any pipeline with pairs of one's own ([`refhooks score`](score.md)). Measures are of
pixels; they know nothing of beauty, identity or style."""
HOME = "evidence.md"
PARTS = {
    "evidence-methods.md": (
        "what the methods do",
        ("default", "inject", "concat", "cross_attn", "internals"),
    ),
    "evidence-strengths.md": ("what strength does up to 1", ()),  # every other section
    "evidence-above-one.md": ("what strength does above 1", ("1.1–1.5", "1.6–2.0")),
    "evidence-advice.md": ("advice for edits", ("combinations", "issues")),
    "evidence-tips.md": ("stages, schedules, switches, chains and masks", ("tips",)),
    "evidence-presets.md": ("presets", ("table",)),
}
STRENGTHS = "evidence-strengths.md"
MONOTONE = "evidence-monotone.md"
SEARCH, PEERS = "evidence-search.md", "evidence-peers.md"
_BACK = f"[The summary, and how it was measured]({HOME})"


@attrs.frozen
class Material:
    """What the page is made of.

    Attributes:
        figures: What claims.json holds, without its cards.
        verdicts: One a claim, in the order of the source notes.
        strengths: Monotone strength, one a method.
        asked: What is asked of it.
        curves: Whether the plots are there.
        peers, search: Tables of what others do and of what beats the plain model; empty: none yet.
    """

    figures: Mapping[str, Any]
    verdicts: Sequence[Verdict]
    strengths: Sequence[Strength]
    asked: Monotone
    curves: bool = False
    peers: str = ""
    search: str = ""


def pages(made: Material) -> dict[str, str]:
    """Return the pages of docs by their names: the summary, and what is behind it."""
    texts = {HOME: _home(made)}
    for name, (about, _) in PARTS.items():
        parts = [f"{MADE}\n# Evidence: {about}", _BACK]
        verdicts = [it for it in made.verdicts if _page_of(it) == name]
        if verdicts:
            parts.append(f"## The verdicts\n\n{_verdicts(verdicts)}")
            parts.append(f"## What was found false\n\n{_false(verdicts)}")
            details = "\n".join(map(_detail, verdicts))
            parts.append(f"## Each statement, and how it was measured\n\n{details}")
        texts[name] = _joined(parts)
    texts[MONOTONE] = _joined(_monotone(made))
    if made.search:
        about = "what beats the plain model"
        texts[SEARCH] = _behind(about, about.capitalize(), made.search)
    if made.peers:
        about = "peers on the same work"
        texts[PEERS] = _behind(about, about.capitalize(), made.peers)
    return texts


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _page_of(verdict: Verdict) -> str:
    section = verdict.claim.section
    return next((name for name, (_, own) in PARTS.items() if section in own), STRENGTHS)


def _home(made: Material) -> str:
    linked = [f"- [{about}]({name})" for name, (about, _) in PARTS.items()]
    linked.append(f"- [how smooth a dial each method is]({MONOTONE})")
    if made.search:
        linked.append(f"- [what beats the plain model]({SEARCH})")
    if made.peers:
        linked.append(f"- [peers on the same work]({PEERS})")
    return _joined([
        f"{MADE}\n# Evidence: what was claimed, and what was measured",
        PROVES,
        f"## Summary\n\n{_summary(made.verdicts)}",
        "Each with its numbers:\n\n" + "\n".join(linked),
        _how(made.figures),
        _seen(made.verdicts),
    ])  # fmt: skip


def _monotone(made: Material) -> list[str]:
    parts = [f"{MADE}\n# Evidence: how smooth a dial each method is", _BACK]
    if made.curves:
        parts.append(
            "## Curves\n\n"
            f"![Edit done, kept and copied over strength, for each method](images/{CURVES[0]})\n\n"
            f"![Edit done against kept, the best front marked](images/{CURVES[1]})"
        )
    few, usual = made.figures["scenes"]["few"], made.figures["settings"]["steps"]
    section = monotone_section(made.strengths, made.asked, few, usual)
    return [*parts, f"## Monotone strength\n\n{section}"]


def _behind(title: str, heading: str, text: str) -> str:
    return _joined([f"{MADE}\n# Evidence: {title}", _BACK, f"## {heading}\n\n{text}"])


def _seen(verdicts: Sequence[Verdict]) -> str:
    """How many findings other measures stand beside, and contradict."""
    beside = [it for verdict in verdicts for it in verdict.findings if it.seen]
    against = sum(CONTRADICTED in it.note for it in beside)
    return f"They stand beside {len(beside)} findings, and contradict {against or 'none'} of them."


def _how(figures: Mapping[str, Any]) -> str:
    scenes, settings = figures["scenes"], figures["settings"]
    return f"""\
## How

Held-out scenes, {settings["steps"]} steps, guidance {settings["cfg"]:g}: {scenes["main"]} scenes
of each of eight kinds of edit, {scenes["more"]} where a verdict is about a few kinds.
*Edit done*: 1 is the right answer in the region that should change, 0 no better than the source.
*Kept*: 1 is the source outside that region, 0 what the model makes without a reference. *Edges*,
where the whole picture changes: F1 of the edges against the right answer's. *Copied*: closeness
to the source where it should have changed.

{RULE}"""


def _summary(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for word in VERDICTS:
        of_it = [it for it in verdicts if it.word == word]
        rows.append([word, str(len(of_it)), ", ".join(map(_linked, of_it)) or "–"])
    heads = ["verdict on toy", "statements", "which"]
    true = "\n".join(_listed(it) for it in verdicts if it.word == "holds")
    false = "\n".join(_listed(it) for it in verdicts if it.word == "does not hold")
    return (
        f"Of {len(verdicts)} statements:\n\n{table(heads, rows)}\n"
        f"What holds:\n\n{true or '- nothing'}\n\nWhat does not:\n\n{false or '- nothing'}"
    )


def _listed(verdict: Verdict) -> str:
    return f"- {verdict.claim.section}: {verdict.claim.claim} ({_linked(verdict)})"


def _linked(verdict: Verdict) -> str:
    identity = verdict.claim.id
    return f"[{identity}]({_page_of(verdict)}#{identity.lower()})"


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    rows = [
        [it.claim.section, f"[{it.claim.id}](#{it.claim.id.lower()})", it.claim.claim, _word(it),
         _deciding(it)]
        for it in verdicts
    ]  # fmt: skip
    return table(["about", "id", "the statement", "verdict", "measured"], rows)


def _word(verdict: Verdict) -> str:
    if verdict.word != "not testable":
        return f"**{verdict.word}**"
    most = max(it.count for it in verdict.findings)
    return f"**not testable on toy**, because at most {most} scenes are of the case that it names"


def _deciding(verdict: Verdict) -> str:
    """The first finding that speaks as the verdict does, and how many speak for the claim."""
    told = [it for it in verdict.findings if it.outcome != "too few"]
    if not told:
        return "–"
    wanted = {"holds": "yes", "does not hold": "no"}.get(verdict.word)
    first = next((it for it in told if it.outcome == wanted), told[0])
    favour = sum(it.outcome == "yes" for it in told)
    share = f"; {favour} of {len(told)} findings for it" if len(told) > 1 else ""
    return f"{first.say}: {_figure(first)}{share}"


def _figure(it: Finding) -> str:
    if it.outcome == "too few":
        return f"{it.count} scenes"
    if it.low == it.high == it.value and it.expected == "none":
        return f"{it.value:g}"
    sign = "+" if it.expected.endswith((" 0", ")")) else ""
    return f"{it.value:{sign}.3f} [{it.low:{sign}.3f}, {it.high:{sign}.3f}]"


def _false(verdicts: Sequence[Verdict]) -> str:
    whole = _against(it for it in verdicts if it.word == "does not hold")
    partly = _against(it for it in verdicts if it.word == "in part")
    text = whole or "No claim fails as a whole.\n"
    return f"{text}\nOf claims that hold in part, what does not:\n\n{partly}" if partly else text


def _against(verdicts: Iterable[Verdict]) -> str:
    lines = []
    for it in verdicts:
        said = [f"{one.say}: {_figure(one)}" for one in it.findings if one.outcome == "no"]
        if said:
            lines.append(f"- **{it.claim.id}**, {it.claim.claim}: {'; '.join(said)}.\n")
    return "".join(lines)


def _detail(verdict: Verdict) -> str:
    claim = verdict.claim
    rows = [
        [it.say, _figure(it), it.expected or "–", str(it.count), SPEAKS[it.outcome], it.note or "–"]
        for it in verdict.findings
    ]
    heads = ["finding", "measured", "for it, if", "scenes", "speaks", "more"]
    if any(it.seen for it in verdict.findings):
        heads.append("by other measures")
        for row, it in zip(rows, verdict.findings, strict=True):
            row.append("; ".join(f"{name} {_figure(one)}" for name, one in it.seen) or "–")
    tried = len({need.cell for test in claim.tests for need in needs(test)})
    return f"""\
### {claim.id}

The statement: {claim.claim}.

{_word(verdict).replace("**", f"**{claim.section}: ", 1)}. {claim.how} Ways tried: {tried}.

{table(heads, rows)}"""

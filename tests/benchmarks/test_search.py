"""The search for strategies that beat the plain model: planted ones, its check, its presets."""

from __future__ import annotations

import json
from random import Random

import _candidates
import _search
import attrs
import numpy as np
import pytest
import search
from click.testing import CliRunner

import refhooks as rh
from refhooks.score import Scene, Score, Scorecard, Settings

KINDS = ("color-change", "lighting-change")
PLAN = _search.Plan(
    edits=400, first=10, children=4, few=4, more=6, survivors=4, parents=2, check=20
)


class Planted:
    """Scores without a model: the lead of a cell is what a rule says, with some noise.

    Args:
        lead: ``lead(cell, part)`` returns the differences in done and kept.
    """

    def __init__(self, lead, kinds=KINDS, plan=PLAN):
        self.lead, self.kinds, self.plan, self.seen = lead, kinds, plan, []

    def score(self, part, cells):
        self.seen.append((part, [cell.name for cell in cells]))
        count = getattr(self.plan, part)
        scenes = [
            Scene(f"{part} {kind} {place}", kind) for kind in self.kinds for place in range(count)
        ]
        return Scorecard(
            "planted",
            Settings(),
            tuple(scenes),
            tuple(self._score(it, part, scenes) for it in cells),
        )

    def _score(self, cell, part, scenes):
        random = np.random.default_rng([ord(it) for it in f"{cell.name} {part}"])
        done, kept = (0.0, 0.0) if cell.name == _search.PLAIN else self.lead(cell, part)
        rows = {"done": [], "kept": [], "edges": []}
        for scene in scenes:
            own = cell.kinds is None or scene.kind in cell.kinds
            whole = scene.kind == "lighting-change"
            values = 0.5 + np.array([done, kept]) + random.normal(0, 0.02, 2)
            rows["done"].append(float(values[0]) if own else None)
            rows["kept"].append(float(values[1]) if own and not whole else None)
            rows["edges"].append(float(values[1]) if own and whole else None)
        return Score(
            cell.name, "", None, "constant", cell.denoise, 4, 2.0, 0, None,
            {name: tuple(row) for name, row in rows.items()},
        )  # fmt: skip


def guided(cell):
    """Whether image guidance is a part of it: what is planted."""
    return any(stage.method == "guidance" for stage in cell.strategy.stages)


def found(lead, plan=PLAN):
    """The figures of a search among planted leads."""
    return search.figures_of(Planted(lead, plan=plan), plan, 6, KINDS) | {"steps": 4}


def good(cell, _part):
    """Better in both."""
    return (0.1, 0.05) if guided(cell) else (-0.1, 0.02)


def costly(cell, _part):
    """More done, less kept."""
    return (0.2, -0.1) if guided(cell) else (-0.1, 0.02)


def lucky(cell, part):
    """Better on the scenes of the search alone."""
    return (0.1, 0.05) if guided(cell) and part != "check" else (-0.02, 0.02)


def slight(cell, part):
    """Done is better; a little less is kept, within the tolerance."""
    kept = 0.002 if part != "check" else -0.006
    return (0.1, kept) if guided(cell) else (-0.1, 0.02)


@pytest.fixture(scope="module")
def beaten():
    """The figures of a search that found what was planted."""
    return found(good)


def test_a_planted_strategy_is_found_and_published(tmp_path, beaten):
    """One preset a kind, which reads back as the strategy that was checked."""
    written = search.publish(beaten, tmp_path)

    assert [path.name for path in written] == [f"{kind}-tuned.toml" for kind in KINDS]
    for kind, path in zip(KINDS, written, strict=True):
        held, best = rh.preset(path), search.winners(beaten)[kind]
        assert best["beats"]
        assert best["together"]["done"][1] > 0
        assert "guidance" in best["strategy"]
        assert held.measured
        assert held.denoise == best["denoise"]
        assert f"edit done {search.shown(best['together']['done'])}" in held.source
        assert ("edges +0.0" in held.source) == (kind == "lighting-change")
        tables = json.loads(
            rh.dump_strategy(held.strategy, tmp_path / "back.json").read_text(encoding="utf-8")
        )
        assert tables == best["tables"]


@pytest.mark.parametrize("lead", [costly, lucky, slight])
def test_what_does_not_beat_the_plain_model_is_not_published(tmp_path, lead):
    """Not what costs, not what was luck of the search's scenes, not what keeps a little less."""
    figures = found(lead)

    assert search.publish(figures, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert "no new preset" in search.table(figures)
    assert bool(figures["checked"]) == (lead is not costly)


def test_a_search_takes_away_the_presets_of_an_earlier_one(tmp_path, beaten):
    """And leaves alone what it did not write."""
    search.publish(beaten, tmp_path)
    other = tmp_path / "object-swap-tuned.toml"
    other.write_text('source = "by hand"\n[[stage]]\nmethod = "inject"\n')

    none = {kind: {"looked_at": 9, "finalists": []} for kind in KINDS}
    search.publish(beaten | {"kinds": none}, tmp_path)

    assert list(tmp_path.iterdir()) == [other]


def test_a_preset_by_hand_is_not_overwritten(tmp_path, beaten):
    """Its name is in the error."""
    (tmp_path / "color-change-tuned.toml").write_text('[[stage]]\nmethod = "inject"\n')

    with pytest.raises(rh.InputError, match=r"color-change-tuned\.toml was not written by"):
        search.publish(beaten, tmp_path)


def test_the_same_seed_searches_the_same():
    """Cell by cell; another seed looks elsewhere."""
    seen = []
    for seed in (0, 0, 1):
        plan = attrs.evolve(PLAN, seed=seed)
        bench = Planted(good, plan=plan)
        search.figures_of(bench, plan, 6, KINDS)
        seen.append(bench.seen)

    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    parts = [part for part, _ in seen[0]]
    assert parts == ["few", "more"] * PLAN.generations(len(KINDS)) + ["check"]


def test_no_more_is_run_than_the_plan_says():
    """The runs without a reference are counted, one a scene."""
    bench = Planted(good)
    search.figures_of(bench, PLAN, 6, KINDS)
    few, more, check = (
        {name for part, names in bench.seen if part == wanted for name in names} - {"plain"}
        for wanted in ("few", "more", "check")
    )
    least = PLAN.few * len(few) + PLAN.more * len(more) + PLAN.check * len(check)

    assert PLAN.generations(len(KINDS)) == 2
    assert least + 2 * len(KINDS) * (PLAN.few + PLAN.more + PLAN.check) <= PLAN.edits
    assert len(few) > len(more) > len(check)
    with pytest.raises(rh.InputError, match="100 edits are too few"):
        _search.Plan(edits=100).generations(8)


def test_the_check_has_scenes_that_the_search_never_saw():
    """Nor do two searches share any."""
    plans = [_search.Plan(seed=seed, few=3, more=3, check=4) for seed in (0, 1)]
    keys = [
        {(pair.kind, pair.seed) for pair in _search.pairs_of(part, KINDS, plan)}
        | {pair.key for pair in _search.pairs_of(part, KINDS, plan)}
        for plan in plans
        for part in ("few", "more", "check")
    ]

    assert sum(len(it) for it in keys) == len(set().union(*keys)) == 2 * 2 * 2 * (3 + 3 + 4)


def test_the_level_holds_for_all_that_is_checked():
    """An interval is wider among many, and decides."""
    done = np.random.default_rng(1).normal(0.05, 0.15, 60)
    held = _search.Lead(done, np.full(60, 0.01))

    alone, among = _search.judged(held, 1), _search.judged(held, 16)

    assert alone["together"]["done"] == alone["alone"]["done"] == among["alone"]["done"]
    assert among["together"]["done"][1] < 0 < alone["together"]["done"][1]
    assert (alone["beats"], among["beats"]) == (True, False)


@pytest.mark.filterwarnings("ignore::refhooks.RefhooksWarning")
def test_candidates_can_all_be_run_and_written(tmp_path):
    """None is the plain model; equal names are equal strategies."""
    random = Random(3)
    drawn = _candidates.pool(random, 40, 6)
    drawn += [_candidates.child(random, drawn, 6) for _ in range(150)]

    assert {str(it) for it in drawn[:40]} == {str(it) for it in dict.fromkeys(drawn[:40])}
    for candidate in drawn:
        path = rh.dump_strategy(candidate.strategy, tmp_path / "s.toml")
        assert rh.load_strategy(path) == candidate.strategy
        assert rh.plan(candidate.strategy, 16).steps
        assert 0.5 <= candidate.denoise <= 1.0
    for plain in ("default", "cross_attn", "guidance"):
        assert _candidates.Candidate((_candidates.Part(plain, 1.0, 1.0),)).is_plain


def test_an_interrupted_search_goes_on(tmp_path, pipe, monkeypatch):
    """The second time nothing is edited again, and the figures are the same."""
    plan = _search.Plan(
        edits=15, first=2, children=1, few=1, more=1, survivors=1, parents=1, finalists=1, check=2
    )
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(output=32**2, reference=32**2, vision=32**2))
    monkeypatch.delitem(_candidates.FORMS, "concat")  # this model brings no projection
    monkeypatch.setattr(_search.Lead, "leads", True)  # so that something is checked
    steps = []
    benches = [
        _search.Bench(editor, KINDS[:1], plan, 2, tmp_path / "store", progress=seen)
        for seen in (None, steps.append)
    ]
    first = search.figures_of(benches[0], plan, 2, KINDS[:1])

    assert search.figures_of(benches[1], plan, 2, KINDS[:1]) == first
    assert first["checked"] == 1
    assert steps == []


def test_the_page_is_made_from_the_figures(tmp_path, beaten):
    """The command publishes again what is there, and prints a row for each that was checked."""
    (tmp_path / "f.json").write_text(json.dumps(beaten))

    done = CliRunner().invoke(
        search.main,
        ["--publish-only", "--json", str(tmp_path / "f.json"), "--presets", str(tmp_path)],
        catch_exceptions=False,
    )

    assert search.RULE in done.output
    assert done.output.count("**yes**") == beaten["checked"] == 4
    assert rh.preset(tmp_path / "color-change-tuned.toml").measured

"""benchmarks/mutants.py on a module of four lines: what is noticed, what is not, what is kept."""

from __future__ import annotations

import json
import textwrap

import mutants
import pytest
from _mutants import _sites
from _mutants._forks import in_fork, replaced
from _mutants._reach import Reach

MODULE = """
    LIMIT = 3

    def above(value):
        if value > LIMIT:
            return True
        return False

    def never(value):
        return value + 1
"""
TESTS = """
    import made_up_module as module

    def test_one_above():
        assert module.above(4) is True

    def test_the_limit():
        assert module.above(3) is False
"""


@pytest.fixture
def tree(tmp_path):
    """A copy of a tree with one module, and its tests."""
    tree = tmp_path / "tree"
    (tree / "tests").mkdir(parents=True)
    (tree / "made_up_module.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    (tree / "tests" / "test_made_up.py").write_text(textwrap.dedent(TESTS), encoding="utf-8")
    return tree


@pytest.fixture
def area(tree):
    """All of its lines."""
    table = {"count": 50, "sources": ["made_up_module.py"], "tests": ["tests"]}
    return mutants.Area("made up", table, tree, 0)


def site(tree, operator, text):
    """The only change of an operator to a line."""
    found = _sites.sites_of(tree / "made_up_module.py", tree)
    (one,) = [it for it in found if (it.operator, it.text) == (operator, text)]
    return one


def attempted(tree, area, one, tmp_path):
    """What comes of a change, and the bench that keeps it."""
    reach = Reach(tree, [one], tmp_path / "reach.json")
    list(reach.ask(area.tests))
    bench = mutants.Bench(tree, tmp_path / "mutants.json", 0)
    return bench.attempt(one, area, reach), bench


@pytest.mark.parametrize(
    ("operator", "text", "by"),
    [
        ("comparison", "if value > LIMIT:", "the_limit"),
        ("condition", "if value > LIMIT:", "the_limit or one_above"),
        ("constant", "LIMIT = 3", "one_above"),
        ("constant", "return False", "the_limit"),
    ],
)
def test_a_change_that_tests_notice_is_killed(tree, area, tmp_path, operator, text, by):
    """By the test that is named, or by the quicker of two; the module is then as it was."""
    before = (tree / "made_up_module.py").read_bytes()

    row, _ = attempted(tree, area, site(tree, operator, text), tmp_path)

    assert row["state"] == "killed"
    assert row["by"] in {f"tests/test_made_up.py::test_{test}" for test in by.split(" or ")}
    assert (tree / "made_up_module.py").read_bytes() == before


def test_what_no_test_reaches_survives_and_says_so(tree, area, tmp_path):
    """Without a run."""
    row, _ = attempted(tree, area, site(tree, "arithmetic", "return value + 1"), tmp_path)

    assert (row["state"], row["by"]) == ("survived", "no test of its area reaches it")


def test_an_equivalent_survives_and_does_not_count(tree, area, tmp_path):
    """With the reason that the table gives; what survives without one does."""
    same = site(tree, "comparison", "if value > LIMIT:")
    same = _sites.attrs.evolve(same, after="LIMIT < value")
    row, bench = attempted(tree, area, same, tmp_path)
    table = {
        "equivalent": [
            {
                "file": row["file"], "function": row["function"], "line": row["text"],
                "after": row["after"], "why": "the same, turned round",
            }
        ]
    }  # fmt: skip

    rows = bench.table["mutants"]
    equal = mutants.reasons(table, rows)

    assert row["state"] == "survived"
    assert equal == {same.key: "the same, turned round"}
    assert mutants.summary(rows, {})[1] == 0.0
    assert mutants.summary({**rows, "x": {**row, "state": "killed"}}, equal)[1] == 1.0


def test_what_is_done_is_not_done_again(tree, area, tmp_path):
    """Until the module changes; what survived, until the tests do. Another seed is refused."""
    killed = site(tree, "comparison", "if value > LIMIT:")
    area.sites = [killed, site(tree, "arithmetic", "return value + 1")]
    reach = Reach(tree, area.sites, tmp_path / "reach.json")
    assert [file for file, _ in reach.ask(area.tests)] == area.tests
    assert list(Reach(tree, area.sites, tmp_path / "reach.json").ask(area.tests)) == []
    place = tmp_path / "mutants.json"
    for one in mutants.Bench(tree, place, 0).due(area):
        mutants.Bench(tree, place, 0).attempt(one, area, reach)

    assert mutants.Bench(tree, place, 0).due(area) == []
    area.tested_by = "others"
    assert mutants.Bench(tree, place, 0).due(area) == area.sites[1:]
    module = tree / "made_up_module.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert mutants.Bench(tree, place, 0).due(area) == area.sites
    with pytest.raises(mutants.click.UsageError, match="another seed"):
        mutants.Bench(tree, place, 1)
    assert json.loads(place.read_text(encoding="utf-8"))["seed"] == 0


def test_a_change_that_never_ends_is_ended(tree):
    """By processor time; that counts as noticed."""
    content = b"while True:\n    pass\n"

    with replaced(tree / "made_up_module.py", content):
        done = in_fork(tree, ["tests/test_made_up.py"], 1)

    assert (done.how, done.status) == ("time", None)


def test_lines_are_chosen_by_the_seed_and_stay_chosen(tree):
    """One change a line; a line that comes to the module displaces one at most."""
    path = tree / "made_up_module.py"
    before = _sites.choose(_sites.sites_of(path, tree), 3, 7)
    again = _sites.choose(_sites.sites_of(path, tree), 3, 7)
    path.write_text("OTHER = 5\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    after = _sites.choose(_sites.sites_of(path, tree), 3, 7)

    keys, others = {it.key for it in before}, {it.key for it in after}
    assert [it.key for it in before] == [it.key for it in again]
    assert len({it.line for it in before}) == 3
    assert len(keys & others) >= 2
    assert [it.key for it in before] != [
        it.key for it in _sites.choose(_sites.sites_of(path, tree), 3, 8)
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = a < b", {"a <= b"}),
        ("x = a is not None", {"a is None"}),
        ("x = a + b", {"(a - b)"}),
        ("x = a and b", {"(a or b)"}),
        ("x = [c for c in a if c]", {"(not (c))"}),
        ("return a", {"return None"}),
        ("raise ValueError(a < 1)", {"pass"}),
        ("a.b = c", {"pass"}),
        ("f(a, b=c)", {"pass", "f(a)"}),
        ("x = 'text' + a", set()),
        ("x = f'{a + 1}'", set()),
        ("warn_user(a, stacklevel=2)", {"pass"}),
        ("x: int = 2", {"3"}),
        ("return None", set()),
    ],
)
def test_the_operators(tmp_path, line, expected):
    """What each of them makes of a line; texts, types and messages are left alone."""
    path = tmp_path / "module.py"
    path.write_text(f"def f(a, b, c):\n    {line}\n", encoding="utf-8")

    found = _sites.sites_of(path, tmp_path)

    assert {it.after for it in found} == expected
    for it in found:
        compile(it.applied(path.read_bytes()), "module", "exec")

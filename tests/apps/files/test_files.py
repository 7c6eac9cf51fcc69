"""Strategies survive a file exactly, and a file that is none is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refhooks as rh
from refhooks._base import tables

FORMATS = pytest.mark.parametrize("ending", ["toml", "json"])

number = st.floats(0, 2) | st.integers(0, 2)
share = st.floats(0, 1)
above_zero = st.floats(0, 1, exclude_min=True)
ends = st.fixed_dictionaries({"start": number, "end": number})


def made(make, name, options):
    """Return a strategy of ``make(name, **options)``."""
    return options.map(lambda given: make(name, **given))


frames = st.lists(
    st.tuples(share, number) | st.tuples(share, number, st.integers(0, 9)),
    min_size=1, max_size=5, unique_by=lambda frame: frame[0],
).map(sorted)  # fmt: skip
schedules = st.one_of(
    made(rh.schedule, "constant", st.fixed_dictionaries({"value": number})),
    *[made(rh.schedule, name, ends) for name in ("linear", "cosine", "ease-in")],
    made(
        rh.schedule, "ease-out", st.fixed_dictionaries(
            {"start": number, "end": number}, optional={"power": st.floats(1, 10)})),
    made(rh.schedule, "steps",
         st.fixed_dictionaries({"values": st.lists(number, min_size=1, max_size=5)})),
    made(rh.schedule, "keyframes", st.fixed_dictionaries(
        {"frames": frames},
        optional={"interpolation": st.sampled_from(["hold", "linear", "cosine"])})),
    made(rh.schedule, "window", st.fixed_dictionaries({"value": number})),
    made(rh.schedule, "sigma", st.fixed_dictionaries(
        {"start": number, "end": number}, optional={"below": st.floats(0, 0.9)})),
)  # fmt: skip
methods = st.one_of(
    st.sampled_from(["default", "inject", "cross_attn", "guidance"]),
    made(rh.method, "inject", st.fixed_dictionaries(
        {}, optional={"where": st.sampled_from(["input", "latents"]),
                      "fit": st.sampled_from(["cover", "stretch"])})),
    made(rh.method, "cross_attn", st.fixed_dictionaries(
        {}, optional={"layers": st.lists(number, min_size=1, max_size=3) | st.just("0-3")})),
)  # fmt: skip
strengths = st.one_of(
    number, st.lists(number, min_size=1, max_size=5), schedules,
    st.sampled_from(["0.4:1.0", "0.4:1.0:cosine", "0@0.4,0.5@0.8,1@1.2"]),
)  # fmt: skip
switches = made(rh.switch, "sigma", st.fixed_dictionaries({"below": above_zero})) | made(
    rh.switch, "progress", st.fixed_dictionaries({"at": above_zero})
)
visions = st.sampled_from(["auto", "always", "never"])
# What a path may hold: no separators, and no lone surrogates, which UTF-8 cannot hold.
letters = st.characters(codec="utf-8", exclude_characters="/\\\0")
names = st.text(letters, min_size=1, max_size=12).filter(lambda name: name.strip(". ") == name)
percent = st.integers(1, 100).map("{}%".format) | st.floats(0.01, 1e4) | st.integers(1, 10_000)
shapes = st.one_of(
    st.fixed_dictionaries({"image": names.map(Path("/masks").joinpath)}),
    st.fixed_dictionaries({"alpha": names.map(Path("/masks").joinpath)}),
    st.fixed_dictionaries({"box": st.lists(percent, min_size=4, max_size=4)}),
    st.fixed_dictionaries(
        {"polygon": st.lists(st.tuples(percent, percent), min_size=3, max_size=5)}),
)  # fmt: skip
held = st.one_of(
    share, st.lists(share, min_size=1, max_size=5), st.just("0:1"),
    made(rh.schedule, "linear", st.fixed_dictionaries({"start": share, "end": share})),
)  # fmt: skip
common = {"invert": st.booleans(), "feather": st.floats(0, 4096), "strength": held}
content = {"kind": st.just("content"), "soft": st.booleans(), **common}
region = {"kind": st.just("region"), "text": st.sampled_from(["full", "area", "none"]), **common}
masks = st.builds(
    lambda shape, options: rh.mask(**shape, **options),
    shapes, st.just({}) | st.fixed_dictionaries(content) | st.fixed_dictionaries(region),
)  # fmt: skip


@st.composite
def strategies(draw):
    """A strategy of one to four stages whose ends rise."""
    numbers = sorted(draw(st.lists(above_zero, max_size=3, unique=True)))
    until = [draw(st.just(end) | switches) for end in numbers]
    until.append(draw(st.none() | switches))
    stages = [rh.Stage(draw(methods), draw(strengths), until=end) for end in until]
    return rh.Strategy(stages, vision=draw(visions), masks=draw(st.lists(masks, max_size=2)))


quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FORMATS
@quick
@given(strategy=strategies())
def test_a_strategy_survives_a_file(tmp_path, ending, strategy):
    """Every method, schedule, switch and mask with every option, exactly; again from there."""
    place = rh.dump_strategy(strategy, tmp_path / f"s.{ending}")
    text = place.read_text(encoding="utf-8")

    again = rh.load_strategy(place)

    assert again == strategy
    assert rh.dump_strategy(again, place).read_text(encoding="utf-8") == text


@FORMATS
@quick
@given(
    entries=st.lists(
        st.tuples(names, st.none() | strategies(), st.none() | st.integers(1, 2**30)), min_size=1,
        max_size=3,
    )
)  # fmt: skip
def test_references_survive_a_file(tmp_path, ending, entries):
    """With pictures of any name, their resolutions and strategies."""
    references = tuple(
        rh.Reference(tmp_path / name, strategy, resolution=resolution)
        for name, strategy, resolution in entries
    )

    assert rh.load_references(rh.dump_strategy(references, tmp_path / f"r.{ending}")) == references


@quick
@given(text=st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_text_survives_toml(text):
    """As a value and as a key, with quotes, controls and characters beyond the first plane."""
    import tomllib

    from refhooks._base.toml import to_toml

    data = {"a": text, text or "b": [True, 1, 0.5, {text or "c": text}], "t": [{"x": text}]}
    assert data == tomllib.loads(to_toml(data))


def write(folder, text, name="s.toml"):
    """Write a file and return its path."""
    place = folder / name
    place.write_text(text, encoding="utf-8")
    return place


FORMS = [
    ("strength = 0.6", {"strength": 0.6}),
    ("strength = 1", {"strength": 1.0}),
    ("strength = [0.2, 1]", {"strength": [0.2, 1]}),
    ('strength = "0.4:1.0"', {"strength": "0.4:1.0"}),
    ('strength = { schedule = "linear", start = 0.4, end = 1.0 }',
     {"strength": rh.schedule("linear", start=0.4, end=1.0)}),
    ("until = 0.5", {"until": 0.5}),
    ('until = { switch = "sigma", below = 0.3 }', {"until": rh.switch("sigma", below=0.3)}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), FORMS)
def test_a_stage_is_written_in_every_form(tmp_path, line, expected):
    """A number, a list, a short form or a table; a method by name or with options."""
    plain = rh.load_strategy(write(tmp_path, f'[[stage]]\nmethod = "inject"\n{line}\n'))
    table = 'method = { method = "inject", where = "input" }'
    full = rh.load_strategy(write(tmp_path, f"[[stage]]\n{table}\n{line}\n"))

    assert plain == rh.Strategy([rh.Stage("inject", **expected)])
    assert full == rh.Strategy([rh.Stage(rh.method("inject", where="input"), **expected)])


def test_pictures_are_relative_to_the_file(tmp_path, monkeypatch):
    """Wherever the program is started from; what lies elsewhere keeps its whole path."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    text = '[[reference]]\nimage = "photo.png"\n[[reference]]\nimage = "/data/coat.png"\n'
    place = write(tmp_path, text, "sub/r.toml")

    loaded = rh.load_references("sub/r.toml")

    assert [entry.image for entry in loaded] == [Path("sub/photo.png"), Path("/data/coat.png")]
    rh.dump_strategy(loaded, "sub/r.toml")
    assert 'image = "photo.png"' in place.read_text()
    rh.dump_strategy(loaded, "r.json")
    assert json.loads(Path("r.json").read_text()) == {
        "reference": [{"image": "sub/photo.png"}, {"image": "/data/coat.png"}]
    }
    rh.dump_strategy([rh.Reference("photo.png")], "sub/other.toml")
    assert rh.load_references("sub/other.toml")[0].image.resolve() == tmp_path / "photo.png"


STAGE = '[[stage]]\nmethod = "inject"\n'
REFERENCE = '[[reference]]\nimage = "a.png"\n'
INNER = '[[reference.stage]]\nmethod = "inject"\n'
BAD = {
    "unknown key": (STAGE + "strenght = 1", "unknown key 'strenght'. Did you mean 'strength'?"),
    "option beside its method": (
        STAGE + 'formula = "add"',
        'of the method goes into its table: method = { method = "inject", formula = ... }'),
    "unknown key inside": (REFERENCE + INNER + "until = 0.5\n" + INNER + "metod = 1",
                           "reference 1, stage 2: unknown key 'metod'. Did you mean 'method'?"),
    "unknown key of a reference": (REFERENCE + 'visoin = "never"\n' + INNER,
                                   "reference 1: unknown key 'visoin'. Did you mean 'vision'?"),
    "a stage's key at the top": ('method = "inject"\n',
                                 "method belongs into a [[stage]], so write [[stage]] above it"),
    "a stage's key beside a picture": (REFERENCE + 'method = "inject"\n',
                                       "method belongs into a [[reference.stage]]"),
    "one pair of brackets": ('[stage]\nmethod = "inject"', "write [[stage]] with two brackets"),
    "unknown key at the top": (STAGE + "[[referense]]", "Did you mean 'reference'?"),
    "unknown method": (REFERENCE + REFERENCE + INNER.replace("inject", "injekt"),
                       "reference 2, stage 1: there is no method 'injekt'. Did you mean 'inject'?"),
    "unknown schedule": (STAGE + 'strength = { schedule = "liner" }',
                         "stage 1: there is no schedule 'liner'. Did you mean 'linear'?"),
    "unknown switch": (STAGE + 'until = { switch = "sgma" }', "there is no switch 'sgma'"),
    "unknown option": (STAGE + 'until = { switch = "sigma", belw = 0.3 }',
                       "stage 1: switch 'sigma' has no option 'belw'. Did you mean 'below'?"),
    "no switch": (STAGE + "until = { swich = 3, below = 0.3 }",
                  "a registered name; it has swich, below. Unknown key 'swich': did you mean"),
    "switch is no name": (STAGE + "until = { switch = 3 }", "must be a registered name, got 3"),
    "short form": (STAGE + 'strength = "much"', "stage 1: strength 'much' is neither a number"),
    "number in quotes": (STAGE + 'strength = "0.5"', "from 0 to 2, got '0.5'"),
    "strength": (STAGE + "strength = 2.5", "stage 1: stage with method 'inject': strength must be"),
    "strength in a list": (STAGE + "strength = [1, -1]", "strength[1] must be a number from 0"),
    "strength is a bool": (STAGE + "strength = true", "from 0 to 2, got True"),
    "strength is a date": (STAGE + "strength = 2026-01-01", "from 0 to 2, got datetime.date"),
    "until": (STAGE + "until = 1.5", "stage 1: stage with method 'inject': until must be a number"),
    "until falls": (STAGE + "until = 0.5\n" + STAGE + "until = 0.4", "must be above that of"),
    "no end": (STAGE + STAGE, "stage 1 of 2 (method 'inject'): until is missing"),
    "no method": ("[[stage]]\nstrength = 1", "stage 1: method is missing"),
    "method is a number": ("[[stage]]\nmethod = 3", "must be a registered name or a"),
    "keyframes": (STAGE + 'strength = { schedule = "keyframes", frames = [[0, 1], [0, 1]] }',
                  "stage 1: schedule 'keyframes': frames[1]: progress must be above"),
    "many keyframes": (
        STAGE + 'strength = { schedule = "keyframes", frames = [' + "[0, 1]," * 10_001 + "] }",
        "frames lists 10001 entries; at most 10000"),
    "function": (STAGE + 'strength = { schedule = "callable", function = "os.system" }',
                 "function must be callable as function(step), got 'os.system'"),
    "vision": ('vision = "no"\n' + STAGE, "vision must be one of auto, always, never; got 'no'"),
    "empty": ("", "there is no [[stage]]"),
    "empty reference": (REFERENCE + "stage = []", "reference 1: there is no [[stage]]"),
    "stage is a number": ("stage = 3", "there is no [[stage]]; stage is 3"),
    "stage is a list of numbers": ("stage = [3]", "stage 1 must be a table"),
    "no picture": ("[[reference]]\n" + INNER, "reference 1: image must be a picture's path"),
    "resolution": (REFERENCE + "resolution = 0", "must be a pixel area or 'native', got 0"),
    "both": (REFERENCE + STAGE, "stage, mask and vision belong into a"),
    "nan": (STAGE + "strength = nan", "holds nan; every number must be finite"),
    "inf": (STAGE + "until = { switch = 'sigma', below = -inf }", "holds -inf; every number"),
    "deep": ("x = " + "[" * 33 + "]" * 33, "is nested deeper than 32 levels"),
    "very deep": ("x = " + "[" * 100_000, "is nested deeper than 32 levels"),
    "deep key": ("a" + ".a" * 500_000 + " = 1", "is nested deeper than 32 levels"),
    "deep quoted key": ("a" + ' . "a"' * 40 + " = 1", "is nested deeper than 32 levels"),
    "large": (STAGE + "#" * 2**20, "is larger than 1 MiB"),
    "no TOML": ("[[stage", "is not valid TOML: "),
    "twice": (STAGE + 'method = "default"', "is not valid TOML: "),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.timeout(20)
def test_a_file_that_is_no_strategy_is_refused(tmp_path, kind):
    """The message names the file, the place in it, and what was probably meant."""
    text, words = BAD[kind]
    place = write(tmp_path, text)
    load = rh.load_references if "[[reference]]" in text else rh.load_strategy

    with pytest.raises((rh.StrategyError, rh.UnknownNameError)) as caught:
        load(place)

    assert str(place) in str(caught.value)
    assert words in str(caught.value)


BAD_JSON = {
    "nan": ('{"stage": [{"method": "inject", "strength": NaN}]}', "holds nan"),
    "overflow": ('{"stage": [{"method": "inject", "strength": 1e999}]}', "holds inf"),
    "twice": ('{"stage": [], "stage": 1}', "the key 'stage' comes twice"),
    "deep": ('{"x": ' + "[" * 100_000, "is nested deeper than 32 levels"),
    "list": ("[]", "must hold a table, got []"),
    "number": ('{"x": ' + "1" * 5000 + "}", "is not valid JSON"),
    "none": ("{", "is not valid JSON"),
    "null": ('{"stage": [{"method": null}]}', "stage 1: method is missing"),
    "key": ('{"stage": [{"method": "inject", "untl": 1}]}', "Did you mean 'until'?"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_json_that_is_no_strategy_is_refused(tmp_path, kind):
    """As TOML is, with the traps of its own."""
    text, words = BAD_JSON[kind]
    place = write(tmp_path, text, "s.json")

    with pytest.raises(rh.StrategyError) as caught:
        rh.load_strategy(place)

    assert str(place) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.toml", "there is no file"), ("s.yaml", "ends in .toml or .json"),
     ("folder.toml", "cannot be read"), ("bytes.toml", "is not UTF-8 text"),
     ("a\0.toml", "cannot be read"), ("a" * 300 + ".toml", "cannot be read")],
)  # fmt: skip
def test_what_is_no_file_is_refused(tmp_path, name, words):
    """A missing one, one of another kind, a folder, and bytes that are no text."""
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff")

    with pytest.raises(rh.StrategyError, match=words):
        rh.load_strategy(tmp_path / name)


def test_a_file_at_the_caps_is_read(tmp_path, monkeypatch):
    """1 MiB and 10,000 keyframes."""
    frames = ", ".join(f"[{k / 9_999}, {k % 3}]" for k in range(10_000))
    text = f'{STAGE}strength = {{ schedule = "keyframes", frames = [{frames}] }}\n'
    place = write(tmp_path, text + "#" * (tables.MAX_BYTES - len(text)))

    assert len(rh.load_strategy(place).stages[0].strength.frames) == 10_000


def test_each_form_has_its_reader(tmp_path):
    """The message names the other one."""
    with pytest.raises(rh.StrategyError, match="read it with load_references"):
        rh.load_strategy(write(tmp_path, REFERENCE + INNER))
    with pytest.raises(rh.StrategyError, match="read it with load_strategy"):
        rh.load_references(write(tmp_path, STAGE))


def test_functions_are_written_as_what_they_gave(tmp_path):
    """With the timetable of a run, so that the file gives the same timetable again."""
    schedule = rh.schedule("callable", function=lambda step: 1.2 * step.sigma)
    switch = rh.switch("callable", function=lambda step: step.index == 3)
    strategy = rh.Strategy([rh.Stage("inject", schedule, until=switch), rh.Stage("default")])
    references = [rh.Reference(tmp_path / "a.png"), rh.Reference(tmp_path / "b.png", strategy)]
    timetable = rh.plan(references, 7)

    with pytest.raises(rh.StrategyError) as caught:
        rh.dump_strategy(references, tmp_path / "r.toml")
    place = rh.dump_strategy(references, tmp_path / "r.toml", timetable=timetable)

    assert "reference 2, stage 1: schedule 'callable' holds a function" in str(caught.value)
    assert "give timetable=result.timetable" in str(caught.value)
    assert rh.plan(rh.load_references(place), 7) == timetable


@attrs.frozen
class Unknown:
    """A method that is registered nowhere."""

    name = "default"

    def bind(self, reference, run):
        return self


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (rh.Strategy(Unknown()), "stage 1: method 'default' is not registered as Unknown"),
        ([rh.Reference(tiny.picture())], "reference 1: its picture is in memory"),
        ("default", "write a Strategy, or a list of references, got 'default'"),
        ([], "write a Strategy, or a list of references"),
        (rh.Strategy("injekt"), "there is no method 'injekt'"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path, what, words):
    """Before anything is written."""
    with pytest.raises((rh.StrategyError, rh.UnknownNameError), match=words):
        rh.dump_strategy(what, tmp_path / "s.toml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["s.yaml", "nowhere/s.toml", "s" * 300 + ".json"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name):
    """Another ending, a folder that is missing, a name that is too long."""
    with pytest.raises(rh.InputError, match=name[:8]):
        rh.dump_strategy(rh.Strategy("default"), tmp_path / name)


@pytest.mark.filterwarnings("ignore:.*gets no step")
def test_a_stage_that_gets_no_step_is_not_written(tmp_path):
    """Its end would be that of the stage before, which no file may say."""
    after, at_once = (
        rh.switch("callable", function=function)
        for function in (lambda step: step.index >= 3, lambda _: True)
    )
    strategy = rh.Strategy([
        rh.Stage("inject", until=after), rh.Stage("default", until=at_once), rh.Stage("inject"),
    ])  # fmt: skip

    with pytest.raises(rh.StrategyError, match="stage 2 gets no step of the timetable"):
        rh.dump_strategy(strategy, tmp_path / "s.toml", timetable=rh.plan(strategy, 6))

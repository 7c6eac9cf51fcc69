"""Strangers' tables: refused before anything slow or large is made of them."""

from __future__ import annotations

import tomllib

import pytest

import refhooks as rh
from refhooks._base.tables import parse_json

PARTS = ["a", '"a"', "'a'", '"\\"a"', '"\\\\"', '"\\\\\\"a.b"', '"a b"', "'a\"b'", '"\\u0041"']


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[{}]]", "x = {{ {} = 1 }}"])
@pytest.mark.parametrize("dot", [".", " . ", "\t.\t"])
def test_long_dotted_keys_never_reach_the_reader(tmp_path, monkeypatch, part, form, dot):
    """Its time grows with the square of the parts, however they are quoted."""
    asked = []
    real = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: asked.append(text) or real(text))
    path = tmp_path / "s.toml"
    path.write_text(form.format(dot.join([part] * 40)) + "\n")

    with pytest.raises(rh.StrategyError, match="deeper than 32"):
        rh.load_strategy(path)
    assert asked == []


@pytest.mark.parametrize("text", ['method = "a.b.c"', 'method = "\\"a\\".b"', "a.\"b\".'c' = 1"])
def test_short_keys_and_texts_with_dots_are_read(tmp_path, monkeypatch, text):
    """The guard is no fence around dots."""
    path, asked = tmp_path / "s.toml", []
    real = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: asked.append(text) or real(text))
    path.write_text(f"[[stage]]\n{text}\n")

    with pytest.raises(rh.RefhooksError):
        rh.load_strategy(path)
    assert len(asked) == 1


STRANGE = {
    "a name of 200,000 letters": '[[stage]]\nmethod = "' + "x" * 200_000 + '"\n',
    "20,000 keys": "[[stage]]\nmethod = { "
    + ", ".join(f"k{n} = 1" for n in range(20_000))
    + " }\n",
    "20,000 stages": '[[stage]]\nmethod = "default"\n' * 20_000,
    "5,000 masks": '[[stage]]\nmethod = "default"\n' + '[[mask]]\nbox = "1,1,2,2"\n' * 5000,
    "infinity": '[[stage]]\nmethod = "default"\nstrength = inf\n',
    "1e400": '[[stage]]\nmethod = "default"\nstrength = 1e400\n',
    "beyond 64 bits": '[[stage]]\nmethod = "default"\nstrength = 1' + "0" * 400 + "\n",
    "5,000 digits": '[[stage]]\nmethod = "default"\nstrength = 1' + "0" * 5000 + "\n",
    "escape sequences": '[[stage]]\nmethod = "\\u001B[2J"\n',
    "a text of stages": 'stage = "default"\n',
    "a table of stages": '[stage]\nmethod = "default"\n',
    "deep": "stage = " + "[" * 5000 + "]" * 5000 + "\n",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_a_strange_file_is_refused_in_few_words(tmp_path, text):
    """At most 4,000 characters that can all be printed."""
    path = tmp_path / "s.toml"
    path.write_text(text)

    with pytest.raises(rh.RefhooksError) as caught:
        rh.load_strategy(path)

    assert len(str(caught.value)) <= 4000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"[1]", b'"text"', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}', b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}', b"\xff", b'{"a": 1' + b"0" * 400 + b"}",
        b'{"a": 1' + b"0" * 5000 + b"}", b"[" * 200_000, b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)  # fmt: skip
def test_strange_json_is_refused(data):
    """No list, no NaN, no infinity, no key twice, nothing deep, no number beyond 64 bits."""
    with pytest.raises(rh.StrategyError):
        parse_json(data, "a file")


@pytest.mark.parametrize("value", ['""', "0", "false", "[]"])
def test_a_range_of_a_preset_is_a_table(tmp_path, value):
    """What is empty, and of another type, is not left out in silence."""
    path = tmp_path / "p.toml"
    path.write_text(f'range = {value}\n[[stage]]\nmethod = "default"\n')

    with pytest.raises(rh.StrategyError, match="range must be a table"):
        rh.preset(path)

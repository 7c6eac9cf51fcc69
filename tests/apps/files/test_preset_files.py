"""Presets of one's own: found by name or path, and files that are none are refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import refhooks as rh
from refhooks import hookimpl
from refhooks._core.plugins import loading

STAGE = '[[stage]]\nmethod = "inject"\nstrength = 0.5\n'


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of one's own presets; writes one by name."""
    monkeypatch.setenv("REFHOOKS_PRESETS", str(tmp_path))

    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture(autouse=True)
def no_config(tmp_path, monkeypatch):
    """Presets of whoever runs the tests are not looked at."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_an_own_preset_is_found_by_name(own):
    """Any strategy, in TOML or JSON."""
    path = own("mine.toml", f'description = "x"\ndenoise = 0.9\nmeasured = true\n{STAGE}')
    own("other.json", json.dumps({"stage": [{"method": "default"}]}))

    mine = rh.preset("mine")

    assert (mine.denoise, mine.description, mine.measured) == (0.9, "x", True)
    assert mine.strategy == rh.Strategy(rh.Stage("inject", 0.5))
    assert mine.origin == str(path)
    assert rh.preset("other").strategy == rh.Strategy(rh.Stage("default"))
    assert rh.preset("color-change").origin == "plugin presets"


def test_an_own_preset_goes_before_a_shipped_one(own):
    """Whoever writes a file of that name means it."""
    own("color-change.toml", STAGE)

    assert rh.preset("color-change").strategy == rh.Strategy(rh.Stage("inject", 0.5))


def test_a_preset_is_read_from_a_path(tmp_path):
    """Its masks are relative to it."""
    path = tmp_path / "p.toml"
    path.write_text(STAGE + '[[mask]]\nimage = "face.png"\n')

    assert rh.preset(path) == rh.preset(str(path))
    assert rh.preset(path).name == "p"
    assert rh.preset(path).strategy.masks[0].shape.image == tmp_path / "face.png"


def test_the_default_folder_may_be_missing(tmp_path):
    """And is looked at if it is there."""
    assert rh.preset("color-change").denoise == 0.4
    folder = tmp_path / "config" / "refhooks" / "presets"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(STAGE)

    assert rh.preset("mine").strategy == rh.Strategy(rh.Stage("inject", 0.5))


def test_a_folder_that_is_named_must_be_there(tmp_path, monkeypatch):
    """A slip in the variable is not passed over."""
    monkeypatch.setenv("REFHOOKS_PRESETS", str(tmp_path / "no"))

    with pytest.raises(rh.InputError, match=r"REFHOOKS_PRESETS: .*No such file"):
        rh.preset("mine")


def test_two_files_of_one_name_are_refused(own):
    """Neither is taken at random."""
    own("mine.toml", STAGE)
    own("mine.json", "{}")

    with pytest.raises(rh.InputError, match="are one preset"):
        rh.preset("mine")


@pytest.mark.parametrize("name", ["colour-change", "", "../color-change", "a\x1b[31m", "x" * 9999])
def test_an_unknown_name_is_refused(name):
    """With what was probably meant; the message stays short."""
    with pytest.raises(rh.UnknownNameError) as caught:
        rh.preset(name)

    assert "there is no preset" in str(caught.value)
    assert len(str(caught.value)) < 700
    assert ("Did you mean 'color-change'?" in str(caught.value)) == (
        "color" in name or "colour" in name
    )


BAD = {
    "nothing": ("", r"no \[\[stage\]\]"),
    "key": (f"denois = 0.5\n{STAGE}", "unknown key 'denois'. Did you mean 'denoise'"),
    "range key": (f"[range]\nstrenth = [0, 1]\n{STAGE}", "range: unknown key 'strenth'"),
    "denoise 0": (f"denoise = 0\n{STAGE}", "denoise must be above 0"),
    "denoise 2": (f"denoise = 2\n{STAGE}", "denoise must be a number from 0 to 1"),
    "denoise text": (f'denoise = "1"\n{STAGE}', "denoise must be a number"),
    "nan": (f"denoise = nan\n{STAGE}", "must be finite"),
    "measured": (f'measured = "no"\n{STAGE}', "measured must be true or false"),
    "range one": (f"[range]\nstrength = [1]\n{STAGE}", "the lowest and the highest"),
    "range falls": (f"[range]\nstrength = [1, 0]\n{STAGE}", "must rise"),
    "range high": (f"[range]\nstrength = [0, 3]\n{STAGE}", "from 0 to 2"),
    "range past": (f"[range]\nstrength = [0.6, 1]\n{STAGE}", "without the chosen 0.5"),
    "range no table": (f"range = 3\n{STAGE}", "range must be a table"),
    "escape": (f'description = "a\\u001b[31m"\n{STAGE}', "one line of text"),
    "lines": (f'source = "a\\nb"\n{STAGE}', "one line of text"),
    "strength": ('[[stage]]\nmethod = "inject"\nstrength = 3\n', "strength must be a number"),
    "toml": ("a = = 1", "not valid TOML"),
    "deep": ("a = " + "[" * 99 + "]" * 99, "nested deeper"),
    "stages": (f"[range]\nstrength = [0, 1]\n{STAGE}until = 0.5\n{STAGE}", "presets of one stage"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_preset_is_refused(own, kind):
    """The message names the file and the key."""
    text, words = BAD[kind]
    path = own("bad.toml", text)

    with pytest.raises(rh.StrategyError, match=words) as caught:
        rh.preset("bad")

    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(own):
    """Too large, no text, a folder; a method that nothing registers."""
    own("large.toml", "#" * (2**20 + 1))
    own("bytes.toml", "").write_bytes(b"\xff\xfe")
    own("method.toml", '[[stage]]\nmethod = "injct"\n')
    own("x.toml", "").unlink()
    (own("x.toml", "")).unlink()

    for name, words in (("large", "larger than 1 MiB"), ("bytes", "not UTF-8")):
        with pytest.raises(rh.StrategyError, match=words):
            rh.preset(name)
    with pytest.raises(rh.UnknownNameError, match="Did you mean 'inject'"):
        rh.preset("method")


def test_a_name_that_is_taken_breaks_the_later_plugin(tmp_path, monkeypatch):
    """A plugin's presets are paths; its methods may come from a plugin that loads later."""
    path = tmp_path / "color-change.toml"
    path.write_text(STAGE)

    def point(name, paths):
        module = SimpleNamespace(refhooks_presets=hookimpl(lambda: paths))
        return SimpleNamespace(name=name, value=name, dist=None, load=lambda: module)

    points = [
        point("a", [path]), point("b", [path]), point("c", [tmp_path / "x.toml"] * 2),
        point("d", ["x.toml"]),
    ]  # fmt: skip
    monkeypatch.setattr(loading, "entry_points", lambda group: points)
    loading._load.cache_clear()
    try:
        registry = rh.load_registry()
    finally:
        monkeypatch.undo()
        loading._load.cache_clear()

    assert [record.state for record in registry.records] == ["live", "broken", "broken", "broken"]
    assert registry.records[0].registers == ("preset color-change",)
    assert "already registered by plugin 'a'" in registry.records[1].reason
    assert "already registered by plugin 'c'" in registry.records[2].reason
    assert registry.presets == {"color-change": path}

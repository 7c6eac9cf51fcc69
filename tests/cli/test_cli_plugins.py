"""``refhooks plugins``: the list and its JSON."""

from __future__ import annotations

import json

import attrs
import pytest

import refhooks as rh

RECORDS = (
    rh.PluginRecord(
        name="inject",
        distribution="refhooks",
        version="0.1.0",
        state="live",
        registers=("method inject", "method stir"),
    ),
    rh.PluginRecord(
        name="late",
        distribution="their-plugin",
        version="2",
        state="broken",
        reason="ImportError: no module named \x1b[2Jx",
    ),
    rh.PluginRecord(
        name="qwen",
        distribution="refhooks",
        version="0.1.0",
        state="blocked",
        reason="blocked by REFHOOKS_BLOCK",
    ),
)


@pytest.fixture
def installed(monkeypatch):
    """Let these plugins be the installed ones."""

    def install(records):
        registry = attrs.evolve(rh.load_registry(), records=records)
        monkeypatch.setattr("refhooks.cli._plugins.load_registry", lambda: registry)

    return install


def test_the_list_has_a_line_a_plugin(cli, installed, monkeypatch):
    """Name, distribution, version, state; below it why it is off, and what it registers by kind.

    Control characters are spelt out.
    """
    monkeypatch.setenv("COLUMNS", "80")
    installed(RECORDS)
    result = cli("plugins")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "name    distribution  version  state",
        "inject  refhooks      0.1.0    live",
        "    method  inject, stir",
        "late    their-plugin  2        broken",
        "    reason  ImportError: no module named \\x1b[2Jx",
        "qwen    refhooks      0.1.0    blocked",
        "    reason  blocked by REFHOOKS_BLOCK",
    ]


@pytest.mark.parametrize("command", ["plugins", "presets"])
def test_lists_fit_80_columns(cli, monkeypatch, command):
    """With all that ships, in a pipe as on a terminal, and with no space at the end of a line."""
    monkeypatch.setenv("COLUMNS", "80")

    lines = cli(command).stdout.splitlines()

    assert len(lines) > 20
    assert max(map(len, lines)) <= 80
    assert lines == [line.rstrip() for line in lines]


def test_a_long_list_goes_on_below_its_beginning(cli, installed, monkeypatch):
    """Names are not divided."""
    monkeypatch.setenv("COLUMNS", "40")
    names = [f"method a-method-{number}" for number in range(6)]
    installed([attrs.evolve(RECORDS[0], registers=tuple(names))])

    assert cli("plugins").stdout.splitlines()[2:] == [
        "    method  a-method-0, a-method-1,",
        "            a-method-2, a-method-3,",
        "            a-method-4, a-method-5",
    ]


def test_json_has_every_field(cli, installed):
    """For programs: nothing is spelt out or left away."""
    installed(RECORDS)
    result = cli("plugins", "--json")
    assert result.exit_code == 0
    expected = [{**attrs.asdict(record), "registers": [*record.registers]} for record in RECORDS]
    assert json.loads(result.stdout) == expected


def test_the_shipped_plugins_are_listed(cli):
    """Those of this distribution, sorted by name."""
    names = [entry["name"] for entry in json.loads(cli("plugins", "--json").stdout)]
    assert names == sorted(names)
    assert {"default", "inject", "qwen"} <= set(names)

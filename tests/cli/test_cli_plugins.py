"""``refhooks plugins``: the table and its JSON."""

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


def test_the_table_has_a_line_a_plugin(cli, installed):
    """Name, distribution, version, state, what it registers, and the reason of those that are off.

    It is not wrapped where it goes to a pipe, and control characters are spelt out.
    """
    installed(RECORDS)
    result = cli("plugins")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["name", "distribution", "version", "state", "registers", "reason"],
        ["inject", "refhooks", "0.1.0", "live", "method", "inject,", "method", "stir"],
        [
            "late",
            "their-plugin",
            "2",
            "broken",
            *["ImportError:", "no", "module", "named", "\\x1b[2Jx"],
        ],
        ["qwen", "refhooks", "0.1.0", "blocked", "blocked", "by", "REFHOOKS_BLOCK"],
    ]  # fmt: skip


def test_where_all_are_live_no_reason_is_shown(cli, installed):
    """An empty column says nothing."""
    installed(RECORDS[:1])
    assert cli("plugins").stdout.split()[:5] == [
        "name", "distribution", "version", "state", "registers",
    ]  # fmt: skip
    assert "reason" not in cli("plugins").stdout


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

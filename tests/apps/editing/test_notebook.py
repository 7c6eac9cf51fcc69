"""A notebook, run as its reader would."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.long

SETUP = """
import sys
sys.path.insert(0, {tests!r})
import tiny, refhooks as rh
area = rh.Checkpoint(output=1024, reference=1024, vision=1024)
editor = rh.Editor(tiny.build("plus", "middle"), checkpoint=area)
"""
EDIT = """
result = editor.edit(tiny.picture(), "make it blue", method="cross_attn", steps=2, seed=1)
result
"""


def test_a_notebook_shows_what_its_cells_make(tmp_path):
    """Pictures and tables, in a kernel of its own; a bar of progress beside them."""
    import tiny

    setup = SETUP.format(tests=str(Path(tiny.__file__).parent))
    strategy = "rh.Strategy([rh.Stage('inject', '0.4:1.0', until=0.5), rh.Stage('default')])"
    cells = [setup, EDIT, "result.timetable", "editor.registry", strategy]
    cells += ["rh.draw_lanes([rh.Reference('a.png', 'inject')], 4)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(it) for it in cells])

    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    shown = [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert len(shown) == 5
    assert "data:image/png;base64," in shown[0]
    assert "seed 1" in shown[0]
    assert "cross_attn" in shown[1]
    assert "cross_attn, steps 1 to 2, strength 1" in shown[1]
    assert "method inject" in shown[2]
    assert "inject, steps 1 to 14, strength 0.4 to 1" in shown[3]
    assert "inject, steps 1 to 4" in shown[4]
    assert [it.count("<svg") for it in shown] == [0, 1, 0, 1, 1]

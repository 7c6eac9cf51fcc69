"""Run from outside the repository against the installed wheel: plugins are found, an edit works."""

import re
import sys
from importlib import metadata
from pathlib import Path

import refhooks as rh

registry = rh.load_registry()
broken = [record for record in registry.records if record.state != "live"]
assert not broken, broken
assert "site-packages" in rh.__file__, rh.__file__
shown = metadata.metadata("refhooks")["Description"]
assert "# refhooks" in shown
assert not re.findall(r"\]\((?!https?:)[^)]*\)", shown), (
    "links of a checkout in what an index shows"
)

editor = rh.Editor.from_pretrained("toy")
source = next(iter(registry.models["toy"].samples()))
for method in sorted(registry.methods):
    result = editor.edit(source, "make it night", strategy=rh.Stage(method, 0.7), steps=2, seed=0)
    (path,) = result.save(f"{method}.png")
    assert Path(path).stat().st_size > 0
    print(f"edited with {method}", file=sys.stderr)

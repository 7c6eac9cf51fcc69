"""Run from outside the repository against the installed wheel: plugins are found, an edit works."""

import sys
from pathlib import Path

import refhooks as rh

registry = rh.load_registry()
broken = [record for record in registry.records if record.state != "live"]
assert not broken, broken
assert "site-packages" in rh.__file__, rh.__file__

editor = rh.Editor.from_pretrained("toy")
source = next(iter(registry.models["toy"].samples()))
for method in sorted(registry.methods):
    result = editor.edit(source, "make it night", strategy=rh.Stage(method, 0.7), steps=2, seed=0)
    (path,) = result.save(f"{method}.png")
    assert Path(path).stat().st_size > 0
    print(f"edited with {method}", file=sys.stderr)

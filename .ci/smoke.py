"""Run from outside the repository against the installed wheel: plugins are found, an edit works."""

import refhooks

registry = refhooks.load_registry()
broken = [record for record in registry.records if record.state != "live"]
assert not broken, broken
assert {"default", "inject", "cross_attn"} <= set(registry.methods)
print("refhooks from", refhooks.__file__)

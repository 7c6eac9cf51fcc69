"""Weighted attention, whatever the model: groups of keys merged, edits combined, processors.

A family gives what is its own, how tokens become queries, keys and values and what follows; all the
rest is here, and goes out through ``refhooks.attention``. It may import ``refhooks._core.contract``
and what stands below, and diffusers where processors are put on; no model class. A new thing that
two families would both have to write comes here; what knows a model belongs into its plugin.
"""

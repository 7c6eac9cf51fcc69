"""What decides what happens at each step of a run.

The contract with plugins, their loading, masks, models, planning and running; together with
``refhooks.loop``, ``refhooks.hookspecs`` and ``refhooks.attention`` this is the whole of it. It
may import ``refhooks._base`` and ``refhooks.errors``, and knows of no application: no recipe,
chain, grid or command. A new thing comes here only if an edit could not run without it; else it
is an application, or a plugin.
"""

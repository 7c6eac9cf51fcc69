"""What crosses a hook, and what an author implements.

Frozen values (``values``, ``methods``, ``outlook``), the protocols of schedules, switches and
masks, the base classes of a family, and what plugins register (``entries``). It may import
``refhooks._base`` alone. A new field that an author reads or gives comes here, with its
docstring, its shape and its range; what the core does with it goes to ``running`` or
``planning``.
"""

"""Finding, validating, naming and blaming plugins.

The registry of what they bring, their loading, the check of their hooks, short forms, and the
notes that name a plugin in what it raises or warns of. It may import ``contract`` and what is
below. A new kind of thing that plugins register has its place in ``registry``, ``calls`` and
``loading``.
"""

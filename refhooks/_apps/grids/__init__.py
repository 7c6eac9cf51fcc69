"""One edit, two of its fields varied, each cell kept under a key of all it depends on.

It may import ``editing`` and what is below; not ``chains`` and ``replay``, beside it. A new field
that a grid can vary comes into ``fields``; whatever changes a picture must be in ``fingerprint``.
"""

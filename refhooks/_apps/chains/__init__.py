"""Several edits, each on what the one before made.

It may import ``editing`` and what is below; not ``replay`` and ``grids``, beside it. A new way to
hand on, or a new key of a chain file, comes here.
"""

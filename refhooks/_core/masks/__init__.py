"""Masks: asked for their cover, laid on token grids, applied to what methods return.

It may import ``plugins``, ``contract`` and what is below; not ``models``, beside it. A new kind
of mask, or another way in which masks combine, comes here; a new shape is a plugin.
"""

"""An edit again, from its recipe: everything is found and checked before anything runs.

It may import ``editing`` and what is below; not ``chains`` and ``grids``, beside it. What a
replay may do otherwise than the recipe says comes into ``replay``, where its pictures are looked
for into ``finder``.
"""

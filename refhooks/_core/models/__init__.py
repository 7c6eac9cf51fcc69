"""Loading a checkpoint, and what is loaded: the pipeline, its family and its plugins.

``LoadedModel`` is what all above ask; ``family_calls`` names a family in what its adapter raises.
It may import ``plugins``, ``contract`` and what is below; not ``masks``, beside it. How files and
devices become a pipeline comes here; what is particular to one model family is a plugin.
"""

"""What is loaded: the pipeline, its family and its plugins; ``refhooks._parts`` loads it.

``LoadedModel`` is what all above ask; ``family_calls`` names a family in what its adapter raises.
It may import ``plugins``, ``contract`` and what is below; not ``masks``, beside it.
What every loaded model can do comes here; what is particular to one model family is a plugin.
"""

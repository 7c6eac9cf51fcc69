"""The parts of a pipeline, whatever the model: what they return is looked at where it is made.

Finite numbers, sizes as planned, tiles without gaps; and which weights are to blame where it is not
so. It may import ``refhooks._core.contract`` and what stands below, and torch; no model class. A
new thing that holds for every VAE, text encoder or transformer comes here; what knows one of them
belongs into its family's plugin.
"""

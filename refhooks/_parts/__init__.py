"""The parts of a pipeline, whatever the model: loading them, and what they return.

How files and devices become a pipeline, with or without its weights; the noise levels of its
scheduler; finite numbers, sizes as planned and tiles without gaps, and which weights are to blame
where it is not so. It may import ``refhooks._core.contract``, for types the registry, and what
stands below, and torch; no model class. A new thing that holds for every VAE, text encoder or
transformer comes here; what knows one of them belongs into its family's plugin.
"""

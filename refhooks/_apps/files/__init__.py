"""Strategies and presets as files: TOML and JSON, read with names and lines, and written.

It may import the core and what is below; every other application may import it. A new key of a
strategy file comes into ``loader``, and into ``writer``, so that what is read can be written
again.
"""

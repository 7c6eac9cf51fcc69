"""The parts of claims.py: what is claimed, what must be run for it, and what came of it."""

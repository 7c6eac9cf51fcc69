"""A package, so that its conftest is no other folder's."""

"""Imports what networks need, where it is there: processes of a pool share it, and what fails is told by its user."""

from contextlib import suppress

with suppress(Exception):
    import algorithms.predictors.batched  # noqa: F401

"""Runs and what belongs to them: tables beside those of schema.py, in the same metadata. Reached by migrations/env."""

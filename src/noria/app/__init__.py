"""Composition: settings, adapters by name, the workspace that users hold, and the worker. The only floor that knows which adapter stands where."""

"""Flavors: how each kind of model is kept in files and how it answers. One module a system, loaded by name (app/plugins)."""

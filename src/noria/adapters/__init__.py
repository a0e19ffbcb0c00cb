"""One folder per port, one file per system. Loaded by name (app/plugins.py), never imported."""

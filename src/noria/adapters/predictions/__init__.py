"""Prediction logs, one file a system; `journal` is the half that a worker imports. The law is ports/predictions. Loaded by name (app/plugins)."""

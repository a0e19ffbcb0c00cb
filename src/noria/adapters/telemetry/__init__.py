"""Noria's measurements of itself: one file per place where they are kept. The law is ports/telemetry. Loaded by name (app/plugins)."""

"""The metadata ports, kept together in one place. Each module gives `open_store(location, *, project)`; what they decide alike is rules.py."""

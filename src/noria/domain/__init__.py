"""The nouns: frozen values, one file each, and the union of events. No input, no output, no clock. Used by every room."""

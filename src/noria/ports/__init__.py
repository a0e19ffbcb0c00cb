"""The roles that the outside plays: one Protocol per noun, at most 12 methods each. Filled by adapters/, held to testing/*_suite."""

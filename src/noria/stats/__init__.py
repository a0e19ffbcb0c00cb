"""Statistics on pure arrays (numpy only): metrics, distances, intervals, sequential tests. No nouns of a room, no store. Used by the rooms."""

"""Record runs while they happen, name them, compare them. Keeping them is the RunStore port. Called by the SDK and loop/stages."""

"""Search over candidates and their parameters. What a score means, and fitting, is the caller's. Called by the training pipeline."""

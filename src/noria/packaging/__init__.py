"""A fitted model becomes a bundle: signature, environment, conversion with proof, files with digests, provenance. Serving one is serving/."""

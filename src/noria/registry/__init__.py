"""Versions and aliases: what a number means, who may be champion, where everything came from. Strangers: packaging/, serving/. Called by loop/stages."""

"""Versions and aliases: what a number means, who may be champion, where everything came from. Called by loop/stages."""

"""Declare steps as plain functions, plan them (pure), find what was done already, run the rest. Where steps run is the executor port."""

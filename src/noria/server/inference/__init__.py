"""Predictions over HTTP: a bare RSGI application, one codec a protocol over one column form. Control and pages are server/control."""

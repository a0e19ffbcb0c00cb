"""Blob stores, one file a system. The law is ports/blobs; the tests of it are testing/blobs_suite. Loaded by name (app/plugins)."""

"""Bytes to nouns and back: shared by server, remote adapter, ledger and table stores. No input, no output."""

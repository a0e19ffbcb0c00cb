"""Who decided what, and can it be shown: approve, audit. What happened is in the ledger."""

"""Who decided what, and can it be shown: approve, audit, card. What happened is in the ledger."""

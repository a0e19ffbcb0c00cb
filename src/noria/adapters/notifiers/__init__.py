"""How alerts reach people: one file per receiver. The law is ports/notifier. Loaded by name (app/plugins)."""

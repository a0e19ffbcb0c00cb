"""How alerts reach people: one file per receiver."""

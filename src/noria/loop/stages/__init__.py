"""What the wheel points to: one file per stage. A stage takes an entry and the context and gives events; it asks rooms, never other stages."""

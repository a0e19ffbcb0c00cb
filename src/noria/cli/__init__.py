"""Commands: one file per noun; main.py only routes. Nothing heavy is imported before the command is known."""

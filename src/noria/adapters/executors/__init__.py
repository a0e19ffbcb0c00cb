"""Executors, by name: inline (this thread), process (worker processes). Each fills ports/executor and passes testing/executor_suite."""

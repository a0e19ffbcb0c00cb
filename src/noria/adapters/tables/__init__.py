"""Table stores, by name: memory (tests, notebooks), parquet (a folder). Each fills ports/tables and passes testing/tables_suite."""

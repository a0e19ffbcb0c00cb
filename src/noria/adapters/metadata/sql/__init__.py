"""The metadata ports over SQL, written once for SQLite and PostgreSQL: tables, migrations, and one file a port. Opening is sqlite/ and postgres/.

What repeats or contradicts an earlier write is rules.py.
"""

"""The one SQLite database: a thread that writes, a thread that reads, migrations by component."""

"""The command line: one module per command group, each a thin translation into operations."""

"""SQL databases: named queries, a target that fills a table, a source that reads new rows."""

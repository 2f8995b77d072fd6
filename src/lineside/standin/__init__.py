"""A Frappe-compatible ERP on twisted.web and SQLite, for tests, demonstrations and the workshop."""

"""Frappe and ERPNext: documents carried out exactly once."""

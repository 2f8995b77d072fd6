"""The operator's shell: words of a terminal, or of one command, as typed operations."""

"""Files of rows: where one ends and the next begins, and what it says. Pure; never a whole file at once."""

"""Partners' files: whole files in, events out, and answers for who sent them."""

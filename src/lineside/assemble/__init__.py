"""Where the parts become one system: configuration, the composition root, start and stop."""

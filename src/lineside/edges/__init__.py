"""One package per system the gateway speaks to; the file names say the role."""

"""systemd: what a service tells the one that supervises it, and how it is known to work."""

"""The plant's names: an authoritative DNS server, and look-ups of services."""

"""The durable log over the store: segments, consumers with their gaps, dedupe, dead letters."""

"""The vocabulary that every part shares: values, outcomes, errors and ports. Pure: no Twisted, no I/O."""

"""For our tests and our users': simulated devices and in-memory stand-ins for threads and networks."""

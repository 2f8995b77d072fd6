"""From a committed record to a settled delivery: pull, route, render, deliver, settle."""

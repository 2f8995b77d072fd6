"""The HTTP edge: the API, events in, the dashboard's files and metrics, on `twisted.web`."""

"""Tables, statements and migrations; the only place that knows SQL."""

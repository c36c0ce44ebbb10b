"""Tables, statements and migrations; only this package contains SQL."""

"""Tables, statements and migrations; only this package contains SQL."""

from service.storage.sqlite_memory import uncount_memory

uncount_memory()

"""Proves the books: what every row must come to, told a second time, apart from the domain."""

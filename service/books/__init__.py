"""The verifier of the books: it states the rules of all rows a second time, without the domain."""

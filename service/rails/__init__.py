"""Payment rails: they move money outside Freehold, and report the outcome of each transfer."""

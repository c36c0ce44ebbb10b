"""The public contract of Freehold and a small client for it."""

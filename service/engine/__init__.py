"""Applies batches of commands: prefetch, decide in order, write, commit, answer."""

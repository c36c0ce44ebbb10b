"""Attacks on a real server, played for real. Each module is one kind of attack."""

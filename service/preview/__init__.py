"""Previews: what a draft of an operator's terms would have done to rentals that happened.

`history` reads an operator's stored decisions with the rentals that followed. `replay` decides them
again under the draft, one after the other, by the pure rules of the domain. `shortcut` gives the
same result for many decisions in a small part of the time. `bills` computes fees again, `sums` adds
everything up, and `text` and `picture` show it.
"""

"""The records of the engine's tables, one file for each subject.

Lines, entries and authorizations have theirs in the domain.
"""

"""The records of the engine's tables, one file for each subject.

The records of lines, entries and authorizations are in the domain.
"""

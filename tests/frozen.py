"""The process that forks programs imports this module last; no other process imports it.

The garbage collector of a forked program then skips everything that was imported before. Otherwise
it takes a server 0.1 s at its start, and copies the memory that forked programs share.
"""

import gc

gc.collect()
gc.freeze()

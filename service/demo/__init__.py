"""One simulated day of a city's rentals, run against a real server.

Real people (the hold-out fifth of the shipped data), real durations and starting hours, simulated
conduct: who pays and what comes back is drawn from the declared simulator in `outcomes`. The demo
is a client like any other: it speaks gRPC to a server process of its own and imports neither its
engine nor its storage.
"""

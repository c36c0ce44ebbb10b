"""One simulated day of a city's rentals, run against a real server.

The people (the hold-out fifth of the shipped data), the durations and the starting hours are real.
Conduct is simulated: payments and returns are drawn by the declared simulator in `outcomes`. The
demo is an ordinary client. It speaks gRPC to a server process that it starts. It imports neither
the engine nor the storage of Freehold.
"""

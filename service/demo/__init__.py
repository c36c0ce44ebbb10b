"""One simulated day of a city's rentals, run against a real server.

The people (the hold-out fifth of the shipped data), the durations and the starting hours are real.
Conduct is simulated: payments and returns are drawn by the declared simulator in `outcomes`. The
demo is a client like any other. It speaks gRPC to a server process of its own and imports neither
its engine nor its storage.
"""

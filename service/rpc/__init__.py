"""The gRPC edge: messages become commands, and answers become messages."""

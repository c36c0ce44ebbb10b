"""Payment rails: how money is moved outside, and how a rail tells what became of it."""

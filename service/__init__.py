"""The engine of Freehold: decisions, holds, the books, and the server around them."""

"""Pure rules of credit, holds and money; imports only the standard library."""

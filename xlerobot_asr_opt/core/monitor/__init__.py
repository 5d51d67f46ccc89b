"""What an operator sees: counts what the graph tells, and judges it."""

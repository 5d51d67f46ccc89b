"""The project's figures, each a command: python -m bench, or one of its files alone."""

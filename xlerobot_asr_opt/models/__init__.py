"""Models and recordings: fetched by name, checked by hash, rebuilt, cached."""

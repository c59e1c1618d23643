"""Cannot be imported."""
raise RuntimeError("cannot be imported")

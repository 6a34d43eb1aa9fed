"""The engine: the process that owns the model, and the daemon's side of its socket."""

"""The store: bundles of models and of templates, signed, in two slots each."""

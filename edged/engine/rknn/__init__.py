"""A resident `.rknn` classifier that answers schemas of a single enum, in the place of an LLM."""

"""Models: what is installed, and the one that ships with edged."""

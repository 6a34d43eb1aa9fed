"""The daemon's socket for the people who run the board, and the commands over it."""

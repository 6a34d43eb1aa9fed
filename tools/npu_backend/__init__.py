"""Compiles a ggml backend that the user supplies against the ggml that edged computes with."""

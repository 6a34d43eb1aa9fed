"""GGUF files for benchmarks: real shapes and vocabularies, weights that follow a script."""

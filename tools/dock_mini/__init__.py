"""Makes dock-mini: generated warehouse messages, a small llama, its 4-bit GGUF, its check."""

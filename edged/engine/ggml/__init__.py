"""llama.cpp on an NPU: a ggml backend library, opened before the model, after a proof."""

"""The RKLLM backend: Rockchip's closed NPU runtime behind the engine's frames."""

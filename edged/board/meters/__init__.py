"""The meters of a real board, found in sysfs or told over MQTT."""

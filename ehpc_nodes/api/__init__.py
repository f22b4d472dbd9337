"""E-HPC and ECS over HTTP: a typed client, its settings, signed and bounded calls."""

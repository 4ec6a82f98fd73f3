"""huggingface: models and datasets of the hub, and headlines read by a model."""

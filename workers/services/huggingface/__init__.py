"""huggingface: models and datasets of the hub, and the tone of headlines by a model."""

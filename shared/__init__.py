"""What coinwire's processes agree on: services, messages, Redis keys, settings. Imports neither gateway nor workers."""

"""pool_manager: the source pools of all services."""

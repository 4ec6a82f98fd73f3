"""`/api/v1/history`: stored updates, page by page."""

"""`/api/v1/history`: what the database keeps, page by page."""

"""news: the headlines of several outlets as one list."""

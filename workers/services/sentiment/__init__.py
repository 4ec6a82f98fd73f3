"""sentiment: one score from several indexes, votes and the tone of headlines."""

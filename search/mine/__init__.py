"""Mine: the pages on which people find what is theirs alone."""

"""Where the bytes are: packs of original objects."""

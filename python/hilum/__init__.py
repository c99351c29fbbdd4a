"""hilum: an archive for medical images. See ``hilum.open``."""

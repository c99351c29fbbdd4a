"""From stored values to what is shown. See ``hilum.pixels.pipeline`` and ``hilum.pixels.description``."""

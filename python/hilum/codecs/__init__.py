"""Decoders: stored frames to stored values. See ``hilum.codecs.decode`` and ``hilum.codecs.registry``."""

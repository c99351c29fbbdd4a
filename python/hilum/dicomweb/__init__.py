"""DICOMweb (PS3.18).

Search (QIDO-RS), retrieve (WADO-RS, WADO-URI), store (STOW-RS). Thin: parse, call the archive, answer.
"""

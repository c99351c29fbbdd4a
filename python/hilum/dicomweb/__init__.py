"""DICOMweb (PS3.18): search (QIDO-RS), retrieve (WADO-RS, WADO-URI), store (STOW-RS). Thin: parse, call the archive, answer."""

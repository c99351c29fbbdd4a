"""HTTP below and beside DICOMweb: connections, mounts, static viewer, health, metrics, administration."""

"""DICOM bytes: scan, character sets, DICOM JSON."""

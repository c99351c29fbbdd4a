"""DICOM upper layer services: C-ECHO and C-STORE as SCP, negotiated by pynetdicom, ending in the archive's store."""

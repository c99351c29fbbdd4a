"""The use cases: take objects in, find them, give them back, keep them sound. Services end here."""

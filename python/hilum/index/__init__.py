"""The index: what is in the packs, findable. Rebuilt from the packs at any time."""

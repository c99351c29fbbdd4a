"""Volumes: series as regular grids of voxels, and the bricks that are made of them."""

"""The dynamic provider, and what it stands on: property bags, previews, the seam to the engine."""

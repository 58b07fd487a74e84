"""A mesh that is hurt on purpose, by a seeded plan, and judged by what its stream then holds."""

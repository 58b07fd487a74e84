"""The upper tiers' storage and service: registry, readings and keys on NATS JetStream."""

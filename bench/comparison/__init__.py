"""The comparison of RingMQ with other brokers: what `bench/compare` runs."""

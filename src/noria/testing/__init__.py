"""What everybody who fills a port tests with: one suite per port, a fake clock, simulators. Shipped."""

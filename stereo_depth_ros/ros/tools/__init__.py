"""What is run beside the node: a simulated camera, the demo, the benchmark, tables for docs."""

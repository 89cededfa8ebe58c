"""What the node reports of itself: diagnostics, warnings in the log, and what they go by."""

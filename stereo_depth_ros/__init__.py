"""Real-time stereo depth for robots: metric depth, disparity, confidence, clouds."""

"""PandABox: positions that were captured with each frame, over its TCP data port or as JSON over ZeroMQ."""

"""Line devices over TCP: scanners, scales and terminals that send a line and wait for its answer."""

"""What is done to slices after the reconstruction: masks, grey values, noise, segments, measures of quality."""

"""Kernels for CUDA devices, beside those of the CPU: device arrays in, device arrays out.

What a step's body for CUDA (``@step.device("cuda")``) gets and gives (docs/explanations/decisions, "The device interface"):

- its first argument, the data: a device array (block, ...), C-contiguous, of the type that the step before gave (counts of a
  detector come as integers: convert in the kernel);
- its further data arguments (darks, flats): device arrays, or for a body that interpolates a `Held` whose versions hold
  device arrays; they were moved once and are kept, so never write to them, nor to the data;
- coordinates (``angle``, ``row``): numpy arrays, as on the CPU; parameters likewise;
- it returns a device array, or several as the CPU's body does, C-contiguous, in the type that the CPU's body gives; a small
  output beside the first one (a curve) may be a numpy array.

`arrays` makes room, moves arrays and launches kernels in the calling thread's stream; nothing else is needed.
"""

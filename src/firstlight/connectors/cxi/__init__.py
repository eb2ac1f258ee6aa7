"""CXI files: coherent X-ray imaging, as cxidb.org and many ptychography programs exchange it."""
